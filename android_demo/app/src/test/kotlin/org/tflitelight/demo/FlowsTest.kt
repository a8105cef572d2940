package org.tflitelight.demo

import android.app.Activity
import android.app.AlertDialog
import android.content.Intent
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraAccessException
import android.net.Uri
import android.os.Bundle
import java.io.ByteArrayInputStream
import java.io.File
import java.io.FileNotFoundException
import java.nio.ByteBuffer
import java.util.concurrent.CountDownLatch
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowAlertDialog
import org.tflitelight.demo.core.Accelerator
import org.tflitelight.demo.core.Json
import org.tflitelight.demo.core.Session
import org.tflitelight.demo.core.Tensor
import org.tflitelight.demo.core.Vector
import org.tflitelight.demo.core.sha256

/** What a person does, with a real model and a real photograph, and what may go wrong. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], qualifiers = "w411dp-h891dp-hdpi")
class FlowsTest {
    private val eyes = Photographed()

    @Before
    fun set() {
        needTheAarsLibrary()
        app.eyes = eyes
        app.settings.accelerator = "cpu1"
    }

    @Test
    fun `a picture from the gallery gets its label`() {
        val controller = open<PictureActivity>()
        val screen = controller.get()
        val asked = shadowOf(screen).nextStartedActivityForResult
        assertEquals("image/*", asked.intent.type)
        controller.pause()
        shadowOf(screen).receiveResult(asked.intent, Activity.RESULT_OK, Intent().setData(inGallery(FIVE)))
        controller.resume()
        settle()
        screen.shows("5", "100 %")
    }

    @Test
    fun `a picture that cannot be decoded is refused in a sentence`() {
        share(inGallery("no picture".toByteArray())).shows("This picture cannot be decoded.", "Choose another one.")
    }

    @Test
    fun `a picture that its app has taken back is refused in a sentence`() {
        val gone = Uri.parse("content://gallery/gone")
        shadowOf(app.contentResolver).registerInputStreamSupplier(gone) { throw FileNotFoundException() }
        share(gone).shows("This picture cannot be opened any more.")
    }

    @Test
    fun `what goes wrong in the app that offers a picture or a model ends in a sentence`() {
        val wrongs = listOf(IllegalArgumentException(), IllegalStateException(), UnsupportedOperationException(), SecurityException())
        for ((number, wrong) in wrongs.withIndex()) {
            val uri = Uri.parse("content://broken/$number")
            shadowOf(app.contentResolver).registerInputStreamSupplier(uri) { throw wrong }
            share(uri).shows("This picture cannot be opened any more.")
            open<ModelsActivity>(Intent(Intent.ACTION_VIEW).setData(uri)).get().shows("The file cannot be copied into the app.")
        }
    }

    @Test
    fun `something else in a picture's place ends in a sentence`() {
        val shared = Intent(Intent.ACTION_SEND).putExtra(Intent.EXTRA_STREAM, Intent())
        open<PictureActivity>(shared).get().shows("This picture cannot be opened any more.")
        open<PictureActivity>(Intent(Intent.ACTION_SEND)).get().shows("This picture cannot be opened any more.")
    }

    @Test
    fun `a PNG of 16 bits a channel is refused in a sentence, as it would be other pixels`() {
        share(inGallery(deepPng())).shows("Pictures of more than 8 bits a channel are not read.", "Save it with 8 bits a channel")
        val eight = deepPng().also { it[24] = 8 }
        share(inGallery(eight, "eight.png")).shows("This picture cannot be decoded.") // its header's checksum is another
    }

    @Test
    fun `a screen reader says each label once`() {
        val row = share(inGallery(FIVE)).findViewById<android.view.ViewGroup>(R.id.bars).getChildAt(0)
        assertEquals("5 100 percent", row.contentDescription)
        assertTrue(row.isImportantForAccessibility)
        for (id in listOf(R.id.label, R.id.percent, R.id.bar)) assertFalse(row.findViewById<android.view.View>(id).isImportantForAccessibility)
    }

    @Test
    fun `an accelerator that shifts one output by 20 is named and left before the first label`() {
        app.settings.accelerator = "gpu"
        app.runtime = Changed { on, real -> if (on.key == "gpu") Lying(real, 20) else real }
        share(inGallery(FIVE)).shows("signs on CPU, 4 threads", "GPU is not used: Wrong: int8_golden/0.png: its answer is off by 20 steps")
    }

    @Test
    fun `an accelerator that takes no node reads CPU, with the operations it refused`() {
        app.settings.accelerator = "gpu"
        app.runtime = Changed { on, real -> if (on.key == "gpu") Idle(real) else real }
        share(inGallery(FIVE)).shows("signs on CPU, 4 threads", "GPU is not used", "GATHER_ND: Operation is not supported.")
    }

    @Test
    fun `an accelerator that fails is left for the CPU`() {
        app.settings.accelerator = "gpu"
        app.runtime = Changed { on, real -> if (on.key == "gpu") error("Internal error: Failed to apply delegate") else real }
        share(inGallery(FIVE)).shows("signs on CPU, 4 threads", "GPU is not used", "Failed to apply delegate")
    }

    @Test
    fun `Auto takes one whose answers are right, and remembers it`() {
        app.settings.accelerator = null
        var opened = 0
        app.runtime = Changed { on, real -> opened += 1; if (on.key == "cpu2") real else Lying(real, 20) }
        share(inGallery(FIVE)).shows("signs on CPU, 2 threads")
        assertEquals(6, opened) // five are offered, and the best is opened again
        assertEquals("cpu2", app.settings.fastest(digest()))
    }

    @Test
    fun `Auto stays on the CPU with a model that came without golden pictures`() {
        app.settings.accelerator = null
        app.runtime = Changed { on, real -> if (on is Accelerator.Cpu) Watched(real) { Thread.sleep(5) } else real }
        app.engine.use(opened("other", "answers/cropped_int8.tflite"))
        share(inGallery(FIVE)).shows("other on CPU")
        open<AcceleratorsActivity>().get().touch("GPU")
        share(inGallery(FIVE)).shows("other on GPU")
    }

    @Test
    fun `Auto has one accelerator open at a time`() {
        app.settings.accelerator = null
        val open = mutableListOf<Int>()
        app.runtime = Changed { _, real ->
            open += (open.lastOrNull() ?: 0) + 1
            object : Session by real {
                override fun close() = real.close().also { open += open.last() - 1 }
            }
        }
        share(inGallery(FIVE)).shows("5")
        assertEquals(List(5) { listOf(1, 0) }.flatten() + 1, open)
    }

    @Test
    fun `an accelerator that has crashed the app is not tried again by Auto`() {
        app.settings.accelerator = null
        app.settings.mark("${digest()}/gpu") // what a crash in the middle of a trial leaves behind
        val tried = mutableSetOf<String>()
        app.runtime = Changed { on, real -> tried += on.key; real }
        share(inGallery(FIVE)).shows("5")
        assertEquals(setOf("cpu1", "cpu2", "cpu4", "gpu16"), tried)
        open<AcceleratorsActivity>().get().shows("The app stopped when this was tried, or it gave no answer.")
    }

    @Test
    fun `an accelerator that has crashed the app is left for the CPU at each start, and tried again by a tap`() {
        app.settings.accelerator = "gpu"
        app.settings.mark("${digest()}/gpu")
        val tried = mutableSetOf<String>()
        app.runtime = Changed { on, real -> tried += on.key; real }
        share(inGallery(FIVE)).shows("signs on CPU, 4 threads", "GPU is not used: The app stopped when this was tried, or it gave no answer.")
        assertEquals(setOf("cpu4"), tried)
        open<AcceleratorsActivity>().get().touch("GPU")
        assertEquals(setOf("cpu4", "gpu"), tried)
        share(inGallery(FIVE)).shows("signs on GPU")
    }

    @Test
    fun `an accelerator that Auto remembers and that has crashed since is measured no more`() {
        app.settings.accelerator = null
        app.settings.keepFastest(digest(), "gpu")
        app.settings.mark("${digest()}/gpu")
        val tried = mutableSetOf<String>()
        app.runtime = Changed { on, real -> tried += on.key; if (on.key == "cpu2") real else Lying(real, 20) }
        share(inGallery(FIVE)).shows("signs on CPU, 2 threads")
        assertEquals(setOf("cpu1", "cpu2", "cpu4", "gpu16"), tried)
    }

    @Test
    fun `a CPU that seems to have crashed is left for other threads, and with all of them the model is not opened`() {
        app.settings.accelerator = "cpu4"
        app.settings.mark("${digest()}/cpu4") // it may be that the app was ended just then
        val tried = mutableSetOf<String>()
        app.runtime = Changed { on, real -> tried += on.key; real }
        share(inGallery(FIVE)).shows("signs on CPU, 2 threads", "CPU, 4 threads is not used: The app stopped when this was tried, or it gave no answer.")
        app.settings.crashed += setOf("${digest()}/cpu2", "${digest()}/cpu1")
        app.engine.use(app.models.all().first())
        settle()
        share(inGallery(FIVE)).shows("The app stopped when this was tried, or it gave no answer.", "Choose another model")
        assertEquals(setOf("cpu2"), tried)
    }

    @Test
    fun `what is still being measured of a model is not shown under the next one`() {
        app.runtime = Changed { _, real -> real }
        open<AcceleratorsActivity>()
        app.engine.measure()
        app.engine.use(opened("other", "answers/cropped_int8.tflite"))
        settle()
        assertEquals(setOf("cpu1"), app.engine.tried.keys.map { it.key }.toSet())
        app.engine.benchmark {}
        app.engine.use(app.models.all().first { it.name == "signs" })
        settle()
        assertEquals(null, app.engine.bench)
        assertEquals("signs", (app.engine.state as State.Ready).model.file.name)
    }

    @Test
    fun `a refused camera leaves the gallery`() {
        val screen = open<LiveActivity>().get()
        screen.onRequestPermissionsResult(0, arrayOf(android.Manifest.permission.CAMERA), intArrayOf(-1))
        screen.shows("The camera may not be used.", "Open settings")
        screen.touch("Choose a picture")
        assertEquals(PictureActivity::class.java.name, shadowOf(screen).nextStartedActivity.component?.className)
    }

    @Test
    fun `a device without a camera says so`() {
        allowCamera()
        app.eyes = Photographed(lenses = emptyList())
        live().shows("This device has no camera.", "Choose a picture")
    }

    @Test
    fun `cameras that the system does not tell are said to have stopped, and can be tried again`() {
        allowCamera()
        for (wrong in listOf(CameraAccessException(CameraAccessException.CAMERA_ERROR), IllegalArgumentException())) {
            var gone = true
            app.eyes = object : Eyes by eyes {
                override fun lenses(leastSide: Int) = if (gone) throw wrong else eyes.lenses(leastSide)
            }
            val screen = live().apply { shows("The camera stopped.", "Choose a picture") }
            gone = false
            screen.findViewById<android.view.View>(R.id.notice_first).performClick()
            settle()
            assertFalse("The camera stopped." in screen.shown())
        }
        assertEquals(2, eyes.open)
    }

    @Test
    fun `what a camera that was left still says does not stop the next one`() {
        allowCamera()
        val screen = live()
        shadowOf(screen).clickMenuItem(R.id.switch_camera)
        settle()
        eyes.lost[0](Reason.TAKEN)
        settle()
        assertEquals(1, eyes.open)
        assertFalse("Another app is using the camera." in screen.shown())
        eyes.lost[1](Reason.TAKEN)
        settle()
        assertEquals(0, eyes.open)
        screen.shows("Another app is using the camera.")
    }

    @Test
    fun `the time in which cameras are switched counts as no frame's`() {
        allowCamera()
        val screen = live()
        repeat(2) { eyes.see() }
        screen.shows("frames per second")
        shadowOf(screen).clickMenuItem(R.id.switch_camera)
        settle()
        for (counted in listOf(false, true)) {
            eyes.see()
            assertEquals(screen.shown(), counted, "frames per second" in screen.shown())
        }
    }

    @Test
    fun `the camera is closed when the screen is left, and the front one stays chosen`() {
        allowCamera()
        val controller = open<LiveActivity>()
        controller.get().surface()
        assertEquals(1, eyes.open)
        shadowOf(controller.get()).clickMenuItem(R.id.switch_camera)
        settle()
        val state = Bundle()
        controller.pause().stop().saveInstanceState(state).destroy()
        assertEquals(0, eyes.open)
        Robolectric.buildActivity(LiveActivity::class.java).create(state).start().restoreInstanceState(state).resume().visible().get().surface()
        assertEquals(listOf(false, true, true), eyes.opened.map { it.front })
    }

    @Test
    fun `a model that answers the camera with no number says so, until it answers with one`() {
        allowCamera()
        var broken = false
        app.runtime = Changed { _, real ->
            object : Session by real {
                override fun run(input: ByteBuffer, output: ByteBuffer) {
                    real.run(input, output)
                    if (broken) output.putFloat(0, Float.NaN)
                }
            }
        }
        app.engine.use(opened("other", "answers/cropped_float32.tflite"))
        val screen = live()
        for (state in listOf(true, false)) {
            broken = state
            eyes.see()
            assertEquals(screen.shown(), state, "The model's answer to this picture is no number. Choose another picture, or another model." in screen.shown())
            assertEquals(screen.shown(), !state, "ms inference" in screen.shown())
        }
    }

    @Test
    @Suppress("DEPRECATION")
    fun `a phone turned upside down turns its frames, too`() {
        allowCamera()
        val screen = live()
        shadowOf(screen.windowManager.defaultDisplay).setRotation(android.view.Surface.ROTATION_180)
        settle()
        assertEquals(listOf(90, 270), eyes.turns)
    }

    @Test
    fun `a picture is still there after the process was killed`() {
        val controller = open<PictureActivity>(shared(inGallery(FIVE)))
        val state = Bundle()
        controller.saveInstanceState(state).pause().stop().destroy()
        val again = Robolectric.buildActivity(PictureActivity::class.java).create(state).start().restoreInstanceState(state).resume().visible()
        settle()
        again.get().shows("5", "100 %")
    }

    @Test
    fun `a rotation keeps the picture and its label`() {
        val controller = open<PictureActivity>(shared(inGallery(FIVE)))
        org.robolectric.RuntimeEnvironment.setQualifiers("+land")
        controller.configurationChange(app.resources.configuration)
        settle()
        controller.get().shows("5", "100 %")
    }

    @Test
    fun `a file that is no model says so, and another can be chosen`() {
        File(app.getExternalFilesDir(null), "models").apply { mkdirs() }.resolve("notes.tflite").writeText("no model at all")
        app.engine.use(app.models.all().first { it.name == "notes" })
        settle()
        share(inGallery(FIVE)).shows("notes.tflite is not a TensorFlow Lite model.", "Choose another model")
    }

    @Test
    fun `a file that is no model is not copied into the app`() {
        for (content in listOf("no model at all", "")) {
            val uri = Uri.parse("content://files/film.mp4")
            shadowOf(app.contentResolver).registerInputStreamSupplier(uri) { ByteArrayInputStream(content.toByteArray()) }
            val screen = open<ModelsActivity>(Intent(Intent.ACTION_VIEW).setData(uri)).get()
            screen.shows("film.mp4 is not a TensorFlow Lite model.", "Choose a .tflite file.")
        }
        assertEquals(emptyList<String>(), File(app.filesDir, "models").list()!!.toList())
    }

    @Test
    fun `a golden picture that cannot be read is named, and the model answers all the same`() {
        val folder = File(app.getExternalFilesDir(null), "models")
        for (broken in listOf("no picture".toByteArray(), deepPng())) {
            for (name in listOf("model.tflite", "model.json", "model_golden/1.png")) Vector.folder.resolve(name).copyTo(folder.resolve(name), overwrite = true)
            folder.resolve("model_golden/0.png").writeBytes(broken)
            app.engine.use(app.models.all().first { it.name == "model" })
            settle()
            share(inGallery(FIVE)).shows("model on CPU, 1 thread", "the golden picture model_golden/0.png cannot be read.", "pattern")
        }
    }

    @Test
    fun `an accelerator that fails at its first picture, after its trial, is left`() {
        app.settings.accelerator = "gpu"
        val runs = mutableListOf<String>()
        val trial = Model.read(app.models.all().first()).contract.golden.size + 11 // its runs, before the first picture
        app.runtime = Changed { on, real -> Watched(real) { if (on.key == "gpu" && runs.size == trial) throw IllegalArgumentException("lost") else runs += on.key } }
        share(inGallery(FIVE)).shows("signs on CPU, 4 threads", "GPU is not used: The app stopped when this was tried, or it gave no answer.", "5")
    }

    @Test
    fun `a model that cannot be opened leaves the benchmark's reason for who waits for it`() {
        File(app.getExternalFilesDir(null), "models").apply { mkdirs() }.resolve("notes.tflite").writeText("no model at all")
        open<BenchmarkActivity>(Intent().putExtra("run", true).putExtra("model", "notes"))
        val found = Json.parse(File(app.getExternalFilesDir(null), "benchmark.json").readText()) as Map<*, *>
        assertEquals(mapOf("model" to "notes", "problem" to "notes.tflite is not a TensorFlow Lite model.", "hint" to "Choose a .tflite file."), found)
    }

    @Test
    fun `a benchmark that was asked for begins though the screen is turned before the model is open, and once`() {
        app.runtime = Changed { _, real -> real }
        val (asked, state, opening) = Triple(Intent().putExtra("run", true), Bundle(), CountDownLatch(1))
        app.engine.handler.post(opening::await)
        Robolectric.buildActivity(BenchmarkActivity::class.java, asked).setup().saveInstanceState(state).pause().stop().destroy()
        opening.countDown()
        val turned = Robolectric.buildActivity(BenchmarkActivity::class.java, asked).create(state).start().restoreInstanceState(state).resume()
        settle()
        val saved = File(app.getExternalFilesDir(null), "benchmark.json")
        assertTrue(saved.delete())
        turned.saveInstanceState(state).pause().stop().destroy()
        Robolectric.buildActivity(BenchmarkActivity::class.java, asked).create(state).start().restoreInstanceState(state).resume()
        settle()
        assertFalse(saved.exists())
    }

    @Test
    fun `a model without a contract says so`() {
        val bytes = app.assets.open("models/signs.tflite").readBytes()
        opened("bare.tflite", bytes.copyOf(50424)) // the flatbuffer without its archive
        share(inGallery(FIVE)).shows("bare.tflite has no contract")
    }

    @Test
    fun `a model from a file manager is copied, chosen and used`() {
        opened("mine.tflite", app.assets.open("models/signs.tflite").readBytes())
        assertEquals(LiveActivity::class.java.name, shadowOf(app).nextStartedActivity.component?.className)
        share(inGallery(FIVE)).shows("mine on CPU, 1 thread", "5")
        open<ModelsActivity>().get().shows("mine", "Opened on this phone")
    }

    @Test
    fun `a model that was opened can be removed, and another is in use then`() {
        opened("mine.tflite", app.assets.open("models/signs.tflite").readBytes())
        val screen = open<ModelsActivity>().get()
        screen.touch("Remove")
        dialog().shows("Remove mine from this app?")
        dialog().getButton(AlertDialog.BUTTON_NEGATIVE).performClick()
        settle()
        screen.shows("mine")
        screen.touch("Remove")
        dialog().getButton(AlertDialog.BUTTON_POSITIVE).performClick()
        settle()
        assertFalse("mine" in screen.shown() || "Remove" in screen.shown()) // what the app brings cannot be
        assertEquals(emptyList<String>(), File(app.filesDir, "models").list()!!.toList())
        share(inGallery(FIVE)).shows("signs on CPU, 1 thread", "5")
    }

    @Test
    fun `an operation that is too new is named with its version`() {
        val error = "Internal error: Cannot create interpreter: Didn't find op for builtin opcode 'CONV_2D' version '9'."
        app.runtime = Changed { _, _ -> throw IllegalArgumentException(error) }
        share(inGallery(FIVE)).shows("The model needs CONV_2D version 9, which TensorFlow Lite 2.16.1 does not have.", "Export the model again")
    }

    @Test
    fun `a benchmark is of the file that was asked for, not of another of its name`() {
        app.runtime = Changed { _, session -> session }
        val other = Vector.folder.resolve("answers/cropped_int8.tflite").readBytes()
        opened("signs.tflite", other)
        val asked = Intent().putExtra("run", true).putExtra("model", "signs").putExtra("sha256", sha256(other))
        open<BenchmarkActivity>(asked)
        val found = Json.parse(File(app.getExternalFilesDir(null), "benchmark.json").readText()) as Map<*, *>
        assertEquals(listOf("signs", sha256(other), "2.16.1"), listOf("model", "sha256", "tflite").map(found::get))
        val rows = (found["accelerators"] as List<*>).map { it as Map<*, *> }
        assertEquals(listOf("cpu1", "cpu2", "cpu4"), rows.map { it["accelerator"] }.filter { "$it".startsWith("cpu") })
        assertEquals(setOf("unchecked"), rows.map { it["verdict"] }.toSet()) // its golden pictures were not opened with it
        for (row in rows) {
            assertEquals(100.0, row["runs"])
            val times = listOf("p50_ms", "p90_ms", "worst_ms").map { row[it] as Double }
            assertTrue("$row", 0 < times[0] && times == times.sorted())
        }
    }

    @Test
    fun `a run's time is the inference's alone, without the sorting of 20,000 labels`() {
        val model = Model.read(app.models.all().first())
        val many = model.contract.copy(labels = List(20_000) { "$it" }, output = Tensor(listOf(1, 20_000), Tensor.Type.UINT8, 1f, 0))
        TfliteRuntime(app.cacheDir, NativeLog()).open(model.bytes, model.digest, Accelerator.Cpu(1)).use { real ->
            val idle = object : Session by real {
                override fun run(input: ByteBuffer, output: ByteBuffer) = Unit
            }
            val live = Live(Model(model.file, many, model.bytes, model.digest, emptyMap()), idle)
            val ms = List(20) { System.nanoTime().let { start -> live.run() to (System.nanoTime() - start) / 1e6 } }
            assertTrue("$ms", ms.minOf { it.first } < ms.minOf { it.second } / 10)
        }
    }

    @Test
    fun `a driver that crashes in the benchmark's runs is remembered, too`() {
        val marks = mutableListOf<Pair<String, String?>>()
        app.runtime = Changed { on, real -> Watched(real) { marks += "${digest()}/${on.key}" to app.settings.marked() } }
        open<BenchmarkActivity>()
        marks.clear()
        app.engine.benchmark {}
        settle()
        assertTrue("${marks.size} runs", marks.size > 500)
        assertEquals(emptyList<Any>(), marks.filter { it.first != it.second })
        assertEquals(null, app.settings.marked())
    }

    @Test
    fun `a benchmark's run that fails, and results that cannot be saved, are said`() {
        File(app.getExternalFilesDir(null), "benchmark.json").mkdirs()
        app.runtime = Changed { on, real -> Watched(real) { if (on.key == "gpu" && it > 30) throw IllegalArgumentException("Internal error: lost") } }
        val screen = open<BenchmarkActivity>(Intent().putExtra("run", true)).get()
        screen.shows("It cannot run this model: Internal error: lost", "The results cannot be saved on this phone.")
        assertEquals(100, Regex("\"runs\": (\\d+)").find(app.engine.bench!!.json!!)!!.groupValues[1].toInt())
    }

    @Test
    fun `a benchmark's cold start finds nothing kept of an earlier one, and its warm start does`() {
        val starts = mutableListOf<Boolean>()
        val runtime = Changed { _, real -> real }
        app.runtime = object : org.tflitelight.demo.core.Runtime by runtime {
            override fun open(model: java.nio.ByteBuffer, digest: String, accelerator: org.tflitelight.demo.core.Accelerator) =
                runtime.also { starts += digest to accelerator in it.kept }.open(model, digest, accelerator)
        }
        open<BenchmarkActivity>()
        repeat(2) {
            starts.clear()
            app.engine.benchmark {}
            settle()
            assertEquals(List(5) { listOf(false, true) }.flatten() + true, starts)
        }
        assertEquals(setOf(digest()), runtime.kept.map { it.first }.toSet())
    }

    private fun share(picture: Uri): Activity = open<PictureActivity>(shared(picture)).get()

    private fun shared(picture: Uri) = Intent(Intent.ACTION_SEND).putExtra(Intent.EXTRA_STREAM, picture)

    private fun live(): LiveActivity = open<LiveActivity>().get().also { it.surface() }

    private fun LiveActivity.surface() {
        val texture = findViewById<PreviewLayout>(R.id.preview).texture
        onSurfaceTextureAvailable(SurfaceTexture(0).also(texture::setSurfaceTexture), 1, 1)
        settle()
    }

    /** A model of the vectors. */
    private fun opened(name: String, vector: String): ModelFile {
        val uri = Uri.parse("content://files/$name.tflite")
        shadowOf(app.contentResolver).registerInputStreamSupplier(uri) { Vector.folder.resolve(vector).inputStream() }
        return app.models.add(uri)
    }

    private fun opened(name: String, content: ByteArray) {
        val uri = Uri.parse("content://files/$name")
        shadowOf(app.contentResolver).registerInputStreamSupplier(uri) { ByteArrayInputStream(content) }
        open<ModelsActivity>(Intent(Intent.ACTION_VIEW).setData(uri)).pause()
    }

    private fun dialog() = ShadowAlertDialog.getLatestAlertDialog()

    private fun AlertDialog.shows(text: String) = assertTrue(text in shadowOf(this).message.toString())

    private fun digest() = sha256(app.assets.open("models/signs.tflite").readBytes())

    private fun Activity.shows(vararg texts: String) = texts.forEach { assertTrue("'$it' is not in:\n${shown()}", it in shown()) }
}
