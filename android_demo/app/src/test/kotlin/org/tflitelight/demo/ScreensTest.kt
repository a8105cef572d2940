package org.tflitelight.demo

import android.graphics.Bitmap
import android.graphics.Canvas
import java.io.File
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class ScreensTest {
    @Test
    fun `live screen opens`() {
        val activity = Robolectric.buildActivity(LiveActivity::class.java).setup().get()
        val view = activity.window.decorView
        val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
        view.draw(Canvas(bitmap))
        File("screenshots").mkdirs()
        File("screenshots/live.png").outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
    }
}
