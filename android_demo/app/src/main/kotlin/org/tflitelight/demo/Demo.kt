package org.tflitelight.demo

import android.app.Application
import android.hardware.camera2.CameraManager
import android.media.Image
import android.os.Handler
import java.io.File
import org.tflitelight.demo.core.Runtime

/** What lives as long as the app. Tests put their own [runtime] in before the first screen. */
class Demo : Application() {
    val settings by lazy { Settings(this) }
    val models by lazy { Models(this) }
    var runtime: Runtime? = null
    val engine by lazy { Engine(this, runtime ?: TfliteRuntime(File(cacheDir, "kernels"), NativeLog())) }
    private val cameras get() = getSystemService(CameraManager::class.java)

    fun lenses(leastSide: Int): List<Lens> = lenses(cameras, leastSide)

    fun camera(frames: Handler, onFrame: (Image) -> Unit, onLost: (Reason) -> Unit) = Camera(cameras, frames, onFrame, onLost)
}
