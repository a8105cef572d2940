package org.tflitelight.demo

import android.content.Intent
import android.graphics.Bitmap
import android.net.Uri
import android.os.BadParcelableException
import android.os.Bundle
import android.os.Parcelable
import android.view.Menu
import android.view.MenuItem
import android.view.View
import android.widget.ImageView
import java.io.IOException
import org.tflitelight.demo.core.Problem

/** A picture from the gallery, or shared by another app, and what the model says of it. */
class PictureActivity : Screen(R.layout.picture, R.string.picture) {
    private val content by lazy { findViewById<View>(R.id.content) }
    private val answers by lazy { Answers(findViewById(R.id.answers)) }
    private var uri: Uri? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        uri = if (state == null) shared(intent) else state.uri("uri")
        if (uri == null && state == null && !isShared()) pick()
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putParcelable("uri", uri)
    }

    override fun onResume() {
        super.onResume()
        engine.listen(::show)
    }

    override fun onPause() {
        engine.listen(null)
        super.onPause()
    }

    private fun shared(intent: Intent): Uri? = if (isShared()) intent.extras?.uri(Intent.EXTRA_STREAM) else intent.data

    private fun isShared() = intent.action == Intent.ACTION_SEND

    /** null, too, where another app has put something else there, or a class that is not in this one. */
    @Suppress("DEPRECATION") // its successor needs API 33
    private fun Bundle.uri(key: String): Uri? =
        try {
            getParcelable<Parcelable>(key) as? Uri
        } catch (_: BadParcelableException) {
            null
        }

    private fun pick() =
        startActivityForResult(Intent(Intent.ACTION_GET_CONTENT).setType("image/*").addCategory(Intent.CATEGORY_OPENABLE), 0)

    override fun onActivityResult(code: Int, result: Int, data: Intent?) { // onResume follows
        uri = data?.data ?: uri
    }

    private fun show(state: State) {
        answers.show(state)
        val chosen = uri
        when {
            state is State.Failed -> content.fail(state, Action(R.string.choose_model) { go<ModelsActivity>() })
            chosen == null && isShared() -> content.notice(R.string.picture_gone, R.string.picture_gone_hint, Action(R.string.pick_picture, ::pick))
            chosen == null -> content.notice(getString(R.string.picture_none), null, Action(R.string.pick_picture, ::pick))
            state is State.Ready -> engine.handler.post { look(chosen) }
        }
    }

    /** On the engine's thread. */
    private fun look(chosen: Uri) {
        try {
            val bytes = read(chosen) { it.readBytes() }
            val picture = decode(bytes) ?: return fail(chosen, R.string.picture_unreadable, R.string.picture_unreadable_hint)
            val answer = engine.answer(picture) ?: return
            val drawn = picture.forDisplay()
            tell(chosen) { show(drawn, answer) }
        } catch (problem: Problem) {
            fail(chosen, problem.message, problem.hint)
        } catch (_: IOException) { // the grant ends with the app that gave it, for one
            fail(chosen, R.string.picture_gone, R.string.picture_gone_hint)
        } catch (_: OutOfMemoryError) {
            fail(chosen, R.string.picture_large, R.string.picture_large_hint)
        }
    }

    private fun show(bitmap: Bitmap, answer: Answer) {
        content.notice(null)
        findViewById<ImageView>(R.id.picture).setImageBitmap(bitmap)
        answers.show(answer, getString(R.string.times, ms(answer.preprocessMs), ms(answer.inferenceMs)))
    }

    private fun fail(chosen: Uri, problem: Int, hint: Int) = fail(chosen, getString(problem), getString(hint))

    private fun fail(chosen: Uri, problem: String, hint: String) = tell(chosen) {
        answers.clear()
        content.notice(problem, hint, Action(R.string.pick_picture, ::pick))
    }

    /** To the main thread, unless another picture was chosen meanwhile. */
    private fun tell(chosen: Uri, step: () -> Unit) = runOnUiThread { if (uri == chosen && !isDestroyed) step() }

    override fun onCreateOptionsMenu(menu: Menu): Boolean {
        menuInflater.inflate(R.menu.picture, menu)
        return true
    }

    override fun onOptionsItemSelected(item: MenuItem): Boolean {
        if (item.itemId != R.id.pick) return super.onOptionsItemSelected(item)
        pick()
        return true
    }
}
