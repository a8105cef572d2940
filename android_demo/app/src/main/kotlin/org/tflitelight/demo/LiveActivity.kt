package org.tflitelight.demo

import android.Manifest
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.SurfaceTexture
import android.hardware.display.DisplayManager
import android.net.Uri
import android.os.Bundle
import android.provider.Settings
import android.util.Size
import android.view.Menu
import android.view.MenuItem
import android.view.TextureView
import android.view.View
import org.tflitelight.demo.core.Frame
import org.tflitelight.demo.core.Problem

/** The live camera with the three best labels. The camera is held only while this is in front. */
class LiveActivity : Screen(R.layout.live, R.string.app_name), TextureView.SurfaceTextureListener, DisplayManager.DisplayListener {
    private val content by lazy { findViewById<View>(R.id.content) }
    private val preview by lazy { findViewById<PreviewLayout>(R.id.preview) }
    private val answers by lazy { Answers(findViewById(R.id.answers)) }
    private val displays by lazy { getSystemService(DisplayManager::class.java) }
    private val rate = Rate()
    private var camera: AutoCloseable? = null
    private var opened = 0 // cameras so far; what an earlier one still has to say is of no use
    private var display = 0 // degrees it is turned by; half a turn comes without a new configuration
    private var front = false
    private var asked = false // for the permission; asking again at each return would be a loop

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        front = state?.getBoolean("front") ?: false
        asked = state?.getBoolean("asked") ?: false
        preview.texture.surfaceTextureListener = this
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putBoolean("front", front)
        state.putBoolean("asked", asked)
    }

    override fun onResume() {
        super.onResume()
        displays.registerDisplayListener(this, null)
        engine.listen(::show)
        if (!allowed() && !asked) ask()
    }

    override fun onPause() {
        stop()
        engine.listen(null)
        displays.unregisterDisplayListener(this)
        super.onPause()
    }

    private fun allowed() = checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED

    private fun ask() {
        asked = true
        requestPermissions(arrayOf(Manifest.permission.CAMERA), 0)
    }

    override fun onRequestPermissionsResult(code: Int, permissions: Array<String>, results: IntArray) = show(engine.state)

    /** The camera runs while there are a model, a permission and a surface. */
    private fun show(state: State) {
        answers.show(state)
        if (state is State.Ready && allowed()) return start(state)
        stop()
        when {
            state is State.Failed -> content.fail(state, Action(R.string.choose_model) { go<ModelsActivity>() })
            !allowed() && asked -> content.notice(R.string.camera_refused, R.string.camera_refused_hint, permit(), pick())
            else -> content.notice(null)
        }
    }

    private fun start(state: State.Ready) {
        val surface = preview.texture.surfaceTexture ?: return
        if (camera != null) return
        rate.clear()
        val lenses = failing(::tell) { demo.eyes.lenses(state.model.contract.image.leastSide) } ?: return
        val lens = lenses.find { it.front == front } ?: lenses.firstOrNull()
        if (lens == null) return content.notice(R.string.camera_none, R.string.camera_none_hint, pick())
        content.notice(null)
        display = turned()
        val turn = lens.turn(display)
        val upright = if (turn % 180 == 0) lens.size else Size(lens.size.height, lens.size.width)
        preview.show(upright, display, state.model.seen(upright.width, upright.height))
        val mine = ++opened
        camera = demo.eyes.open(lens, surface, turn, engine.handler, ::answer) { lost(mine, it) }
    }

    private fun stop() {
        camera?.close()
        camera = null
    }

    /** On the engine's thread. */
    private fun answer(frame: Frame) {
        val answer =
            try {
                engine.answer(frame) ?: return
            } catch (problem: Problem) { // of this frame; the next one may be better
                return runOnUiThread { answers.show(problem) }
            }
        runOnUiThread { show(answer) }
    }

    private fun show(answer: Answer) {
        if (camera == null) return // closed meanwhile
        val rate = rate.count(System.nanoTime())
        val times = getString(R.string.times, ms(answer.preprocessMs), ms(answer.inferenceMs))
        answers.show(answer, if (rate > 0) getString(R.string.times_live, times, rate) else times)
    }

    /** On the camera's thread. */
    private fun lost(which: Int, reason: Reason) = runOnUiThread {
        if (camera == null || which != opened) return@runOnUiThread // closed meanwhile
        stop()
        tell(reason)
    }

    private fun tell(reason: Reason) {
        content.notice(reason.problem, reason.hint, Action(R.string.try_again) { show(engine.state) }, pick())
    }

    private fun permit() =
        if (shouldShowRequestPermissionRationale(Manifest.permission.CAMERA)) {
            Action(R.string.allow_camera, ::ask)
        } else { // the system asks no more
            Action(R.string.open_settings) {
                startActivity(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, Uri.fromParts("package", packageName, null)))
            }
        }

    private fun pick() = Action(R.string.pick_picture) { go<PictureActivity>() }

    @Suppress("DEPRECATION") // its successor needs API 30
    private fun turned() = windowManager.defaultDisplay.rotation * 90

    override fun onCreateOptionsMenu(menu: Menu): Boolean {
        menuInflater.inflate(R.menu.live, menu)
        return true
    }

    override fun onOptionsItemSelected(item: MenuItem): Boolean {
        when (item.itemId) {
            R.id.pick -> go<PictureActivity>()
            R.id.switch_camera -> switch()
            R.id.models -> go<ModelsActivity>()
            R.id.accelerators -> go<AcceleratorsActivity>()
            R.id.benchmark -> go<BenchmarkActivity>()
            R.id.about -> go<AboutActivity>()
            else -> return super.onOptionsItemSelected(item)
        }
        return true
    }

    private fun switch() {
        front = !front
        again()
    }

    private fun again() {
        stop()
        show(engine.state)
    }

    override fun onDisplayChanged(id: Int) {
        if (camera != null && turned() != display) again()
    }

    override fun onDisplayAdded(id: Int) = Unit

    override fun onDisplayRemoved(id: Int) = Unit

    override fun onSurfaceTextureAvailable(surface: SurfaceTexture, width: Int, height: Int) = show(engine.state)

    override fun onSurfaceTextureDestroyed(surface: SurfaceTexture): Boolean {
        stop()
        return true
    }

    override fun onSurfaceTextureSizeChanged(surface: SurfaceTexture, width: Int, height: Int) = Unit

    override fun onSurfaceTextureUpdated(surface: SurfaceTexture) = Unit
}
