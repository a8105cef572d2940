package org.tflitelight.demo

import android.app.Activity
import android.content.Intent
import android.graphics.BitmapFactory
import android.graphics.SurfaceTexture
import android.graphics.drawable.BitmapDrawable
import android.graphics.drawable.InsetDrawable
import android.view.View
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.ParameterizedRobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config

/** Every screen, in both themes, on a phone and on a tablet, with the AAR's own library answering. */
@RunWith(ParameterizedRobolectricTestRunner::class)
@Config(sdk = [35])
class ScreensTest(private val device: String, private val theme: String) {
    private val eyes = Photographed()

    @Before
    fun set() {
        RuntimeEnvironment.setQualifiers("${DEVICES[device]}-$theme-hdpi")
        app.eyes = eyes
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
        assertTrue(activity.shown(), "5" in activity.shown())
        preview.paint() // a texture draws nothing without a GPU
        activity.save("live-$device-$theme")
    }

    @Test
    fun picture() {
        val activity = open<PictureActivity>(Intent(Intent.ACTION_SEND).putExtra(Intent.EXTRA_STREAM, inGallery(FIVE))).get()
        assertTrue(activity.shown(), "5" in activity.shown())
        activity.save("picture-$device-$theme")
    }

    @Test
    fun models() = open<ModelsActivity>().get().save("models-$device-$theme")

    @Test
    fun accelerators() {
        val activity = open<AcceleratorsActivity>().get()
        activity.touch(activity.getString(R.string.measure_all))
        activity.save("accelerators-$device-$theme")
    }

    @Test
    fun benchmark() {
        open<BenchmarkActivity>(Intent().putExtra("run", true)).get().save("benchmark-$device-$theme")
    }

    @Test
    fun about() = open<AboutActivity>().get().save("about-$device-$theme")

    companion object {
        private val DEVICES = mapOf("phone" to "w411dp-h891dp-port", "tablet" to "w1280dp-h800dp-xlarge-land")

        @JvmStatic
        @ParameterizedRobolectricTestRunner.Parameters(name = "{0} {1}")
        fun all() = DEVICES.keys.flatMap { device -> listOf("notnight", "night").map { arrayOf(device, it) } }

        private fun PreviewLayout.give(surface: SurfaceTexture) = surface.also(texture::setSurfaceTexture)

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
