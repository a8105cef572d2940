package org.tflitelight.demo

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.Canvas
import android.os.Looper
import android.view.View
import android.widget.TextView
import java.io.File
import java.nio.ByteBuffer
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.tflitelight.demo.core.Accelerator
import org.tflitelight.demo.core.Runtime
import org.tflitelight.demo.core.Session

/** The app as a test drives it. */
val app get() = RuntimeEnvironment.getApplication() as Demo

/** Tests run TensorFlow Lite itself, the AAR's x86_64 library. */
fun needTheAarsLibrary() {
    val folder = System.getProperty("java.library.path")
    check(File(folder, "libtensorflowlite_jni.so").exists()) { "$folder has no libtensorflowlite_jni.so, and the tests need it" }
}

fun allowCamera() = shadowOf(app).grantPermissions(Manifest.permission.CAMERA)

inline fun <reified T : Activity> open(intent: Intent? = null): ActivityController<T> =
    Robolectric.buildActivity(T::class.java, intent).setup().also { settle() }

/** Waits until nothing is left to do on the main thread and the engine's; fails where that does not happen. */
fun settle() {
    repeat(4) { // an answer goes from the main thread to the engine's and back, and may start another round
        shadowOf(Looper.getMainLooper()).idle()
        val done = java.util.concurrent.CountDownLatch(1)
        app.engine.handler.post(done::countDown)
        check(done.await(30, java.util.concurrent.TimeUnit.SECONDS)) { "the engine is still busy after 30 s" }
    }
    shadowOf(Looper.getMainLooper()).idle()
}

/** All text that is on the screen, a line each. */
fun Activity.shown(): String = texts(window.decorView).joinToString("\n")

private fun texts(view: View): List<String> =
    when {
        view.visibility != View.VISIBLE -> emptyList()
        view is android.view.ViewGroup -> (0 until view.childCount).flatMap { texts(view.getChildAt(it)) }
        view is TextView -> listOf("${view.text}")
        else -> emptyList()
    }

/** Touches the line, or the button, with this text. */
fun Activity.touch(text: String) {
    val all = ArrayList<View>()
    window.decorView.findViewsWithText(all, text, View.FIND_VIEWS_WITH_TEXT)
    val seen = all.firstOrNull { it.isShown } ?: error("'$text' is not on the screen:\n${shown()}")
    generateSequence(seen) { it.parent as? View }.first { it.hasOnClickListeners() }.performClick()
    settle()
}

fun Activity.picture(): Bitmap {
    val view = window.decorView
    return Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888).also { view.draw(Canvas(it)) }
}

fun Bitmap.save(name: String) {
    val folder = File("screenshots").apply { mkdirs() }
    File(folder, "$name.png").outputStream().use { compress(Bitmap.CompressFormat.PNG, 100, it) }
}

/** Times differ from run to run, and pictures that are kept must not: they show none. */
fun Activity.steady() = steady(window.decorView)

private fun steady(view: View) {
    if (view is android.view.ViewGroup) for (place in 0 until view.childCount) steady(view.getChildAt(place))
    if (view is TextView) view.text = view.text.replace(Regex("[0-9.]+ ms"), "– ms")
}

/** TensorFlow Lite itself, on the CPU whatever is asked for; [change] is what an accelerator makes of it. */
class Changed(private val change: (Accelerator, Session) -> Session) : Runtime {
    private val real = TfliteRuntime(app.cacheDir, NativeLog())

    override fun open(model: ByteBuffer, digest: String, accelerator: Accelerator): Session =
        change(accelerator, real.open(model, digest, Accelerator.Cpu(1))).also { kept += digest to accelerator }

    /** What it keeps of each start, by the name it was given. */
    val kept = mutableSetOf<Pair<String, Accelerator>>()

    override fun forget(digest: String) {
        kept.removeAll { it.first == digest }
    }
}

/** One output is off by [steps]. */
class Lying(private val honest: Session, private val steps: Int) : Session by honest {
    override fun run(input: ByteBuffer, output: ByteBuffer) {
        honest.run(input, output)
        output.put(0, (output.get(0) + steps).toByte())
    }
}

/** Calls [before] before each run. */
class Watched(private val honest: Session, private val before: (run: Int) -> Unit) : Session by honest {
    private var runs = 0

    override fun run(input: ByteBuffer, output: ByteBuffer) {
        before(++runs)
        honest.run(input, output)
    }
}

/** Takes no node. */
class Idle(private val honest: Session) : Session by honest {
    override val nodes get() = nodesBefore
    override val refused get() = listOf("GATHER_ND: Operation is not supported.")
}
