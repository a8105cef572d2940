package org.tflitelight.demo

import android.app.Application
import android.hardware.camera2.CameraManager
import java.io.File
import org.tflitelight.demo.core.Runtime

/** What lives as long as the app. Tests put other [eyes] and another [runtime] in before the first screen. */
class Demo : Application() {
    val settings by lazy { Settings(this) }
    val models by lazy { Models(this) }
    val engine by lazy { Engine(this, runtime) }
    lateinit var eyes: Eyes
    lateinit var runtime: Runtime

    override fun onCreate() {
        super.onCreate()
        eyes = Cameras(getSystemService(CameraManager::class.java))
        runtime = TfliteRuntime(File(cacheDir, "kernels"), NativeLog())
    }
}
