package org.tflitelight.demo

import android.app.Activity
import android.content.Intent
import android.graphics.BitmapFactory
import android.graphics.SurfaceTexture
import android.graphics.drawable.BitmapDrawable
import android.graphics.drawable.InsetDrawable
import android.net.Uri
import android.view.View
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.ParameterizedRobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

/**
 * Every screen, in both themes, on a phone and on a tablet, with the AAR's own library answering. The GPU of these pictures
 * takes no node, and with float16 it lies.
 */
@RunWith(ParameterizedRobolectricTestRunner::class)
@Config(sdk = [35])
class ScreensTest(private val device: String, private val theme: String) {
    private val eyes = Photographed()

    @Before
    fun set() {
        RuntimeEnvironment.setQualifiers(DEVICES[device]!!.format(if (theme == "dark") "night" else "notnight"))
        needTheAarsLibrary()
        app.eyes = eyes
        app.runtime = Changed { on, real -> if (on.key == "gpu") Idle(real) else if (on.key == "gpu16") Lying(real, 20) else real }
        app.settings.accelerator = "cpu2" // which is the fastest may differ from run to run
        allowCamera()
    }

    @Test
    fun live() {
        val activity = open<LiveActivity>().get()
        val preview = activity.findViewById<PreviewLayout>(R.id.preview)
        activity.onSurfaceTextureAvailable(preview.give(SurfaceTexture(0)), 1, 1)
        settle()
        eyes.see()
        activity.shows("5", "100 %")
        preview.paint() // a texture draws nothing without a GPU
        activity.save("live-$device-$theme")
    }

    @Test
    fun picture() {
        val activity = open<PictureActivity>(Intent(Intent.ACTION_SEND).putExtra(Intent.EXTRA_STREAM, inGallery(FIVE))).get()
        activity.shows("5", "100 %")
        activity.save("picture-$device-$theme")
    }

    /** Letters twice as large, as far as Android goes: all three labels and their times are still within the screen. */
    @Test
    fun `large letters fit`() {
        RuntimeEnvironment.setFontScale(2f)
        val activity = open<PictureActivity>(Intent(Intent.ACTION_SEND).putExtra(Intent.EXTRA_STREAM, inGallery(FIVE))).get()
        val times = activity.findViewById<View>(R.id.times)
        assertTrue(times.getGlobalVisibleRect(android.graphics.Rect()) && times.height > 0)
        assertTrue(activity.findViewById<View>(R.id.picture).height > 100)
    }

    @Test
    fun models() {
        val uri = Uri.parse("content://files/mine.tflite")
        shadowOf(app.contentResolver).registerInputStreamSupplier(uri) { app.assets.open("models/signs.tflite") }
        app.models.add(uri)
        open<ModelsActivity>().get().apply { shows("signs", "In the app", "mine", "Opened on this phone", "Remove") }.save("models-$device-$theme")
    }

    @Test
    fun accelerators() {
        val activity = open<AcceleratorsActivity>().get()
        activity.touch(activity.getString(R.string.measure_all))
        activity.shows("CPU, 2 threads", activity.getString(R.string.verdict_unused))
        activity.save("accelerators-$device-$theme")
    }

    @Test
    fun benchmark() {
        val activity = open<BenchmarkActivity>(Intent().putExtra("run", true)).get()
        activity.shows("CPU, 1 thread", "CPU, 2 threads", "CPU, 4 threads", activity.getString(R.string.verdict_unused))
        activity.save("benchmark-$device-$theme")
    }

    @Test
    fun about() = open<AboutActivity>().get().apply { shows("signs", "Version 1.0, TensorFlow Lite 2.16.1.") }.save("about-$device-$theme")

    companion object {
        private val DEVICES = mapOf("phone" to "w411dp-h891dp-port-%s-hdpi", "tablet" to "w1280dp-h800dp-xlarge-land-%s-mdpi")

        @JvmStatic
        @ParameterizedRobolectricTestRunner.Parameters(name = "{0} {1}")
        fun all() = DEVICES.keys.flatMap { device -> listOf("light", "dark").map { arrayOf(device, it) } }

        private fun PreviewLayout.give(surface: SurfaceTexture) = surface.also(texture::setSurfaceTexture)

        /** Lines, or what begins them. */
        private fun Activity.shows(vararg lines: String) =
            lines.forEach { line -> assertTrue("'$line' begins no line of:\n${shown()}", shown().lines().any { it.startsWith(line) }) }

        private fun Activity.save(name: String) {
            steady()
            settle()
            picture().save(name)
        }

        private fun PreviewLayout.paint() {
            texture.visibility = View.INVISIBLE
            val photograph = BitmapDrawable(resources, BitmapFactory.decodeByteArray(FIVE, 0, FIVE.size))
            val (across, down) = maxOf(0, texture.width - texture.height) / 2 to maxOf(0, texture.height - texture.width) / 2
            background = InsetDrawable(photograph, texture.left + across, texture.top + down, width - texture.right + across, height - texture.bottom + down)
        }
    }
}
