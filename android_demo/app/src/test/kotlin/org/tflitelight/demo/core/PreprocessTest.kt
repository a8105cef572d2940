package org.tflitelight.demo.core

import com.sun.management.ThreadMXBean
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import java.util.Base64
import java.util.Random
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Pictures become the very bytes that Python makes of them. */
class PreprocessTest {
    @Test
    fun `200 sizes are cropped, resized and quantised to the bit by each filter`() {
        val cases = Vector.all("resized")
        assertEquals(600, cases.size)
        for (case in cases) assertEquals("$case", case.sha256, input(case) { fill(rgb(case.width, case.height, case.seed), it) })
    }

    @Test
    fun `pictures with transparency are turned by each EXIF orientation`() {
        val cases = Vector.all("turned")
        assertEquals(9, cases.size)
        for (case in cases) assertEquals("$case", case.sha256, input(case) { fill(rgba(case).turned(case.int("orientation")), it) })
    }

    @Test
    fun `the orientation in JPEG, PNG and WebP files is read as by Python`() {
        val cases = (Json.parse(Vector.folder.resolve("exif.json").readText()) as List<*>).map { it as Map<*, *> }
        assertEquals(176, cases.size)
        for (case in cases) {
            val found = orientation(Base64.getDecoder().decode(case["content"] as String))
            val turn = (case["orientation"] as Double).toInt()
            assertEquals("${case["name"]}", if (turn in 1..8) turn else 1, found)
        }
    }

    @Test
    fun `20,000 damaged files have some orientation`() {
        val files = (Json.parse(Vector.folder.resolve("exif.json").readText()) as List<*>).map { Base64.getDecoder().decode((it as Map<*, *>)["content"] as String) }
        val random = Random(0)
        repeat(20_000) {
            val file = files[it % files.size].let { whole -> whole.copyOf(if (it % 3 == 0) random.nextInt(whole.size) else whole.size) }
            repeat(1 + random.nextInt(4)) { if (file.isNotEmpty()) file[random.nextInt(file.size)] = if (random.nextBoolean()) -1 else random.nextInt(256).toByte() }
            assertTrue(orientation(file) in 1..8)
        }
    }

    @Test
    fun `camera frames of any strides are turned each way`() {
        val cases = Vector.all("frames")
        assertEquals(12, cases.size)
        for (case in cases) assertEquals("$case", case.sha256, input(case) { fill(frame(case), it) })
    }

    @Test
    fun `of a picture with the least side nothing is enlarged, and of one with 3 pixels less something is`() {
        val image = Vector.all("frames")[0].contract.image
        for (size in 32..1024) for (crop in listOf(1.0, 0.875, 0.5, 0.3)) {
            val cropped = image.copy(size = size, resize = Image.Resize.CROP, crop = crop)
            assertTrue("$size, $crop", cropped.leastSide.let { cropped.box(it * 4 / 3, it).width } >= size)
            assertTrue("$size, $crop", (cropped.leastSide - 3).let { cropped.box(it * 4 / 3, it).width } < size)
            assertEquals(size, cropped.copy(resize = Image.Resize.STRETCH).leastSide)
        }
    }

    @Test
    fun `a frame is prepared in 5 ms without allocating a byte`() {
        val case = Vector.all("frames").last()
        val (preprocess, frame, into) = Triple(Preprocess(case.contract), frame(case), direct(case.contract.input.sizeBytes))
        repeat(200) { preprocess.fill(frame, into) }
        val threads = ManagementFactory.getThreadMXBean() as ThreadMXBean
        val thread = Thread.currentThread().id
        val ms = (1..10).minOf { // other work on the machine only adds to it
            val start = threads.currentThreadCpuTime
            repeat(20) { preprocess.fill(frame, into) }
            (threads.currentThreadCpuTime - start) / 20e6
        }
        val before = threads.getThreadAllocatedBytes(thread)
        repeat(100) { preprocess.fill(frame, into) }
        val allocated = threads.getThreadAllocatedBytes(thread) - before
        println("640 x 480 YUV to 224 x 224: %.2f ms of processor time a frame, %d bytes in 100".format(ms, allocated))
        assertTrue("$allocated bytes", allocated < 100) // what asking for it takes
        assertTrue("$ms ms", ms <= 5)
    }

    private fun input(case: Vector, fill: Preprocess.(ByteBuffer) -> Unit): String {
        val into = direct(case.contract.input.sizeBytes)
        Preprocess(case.contract).fill(into)
        return sha256(ByteArray(into.capacity()).also { into.get(it) })
    }

    private fun rgba(case: Vector): Picture {
        val pixels = IntArray(case.width * case.height)
        for (at in pixels.indices) {
            val alpha = if (at / case.width < case.height / 2) 255 else byte(4 * at + 3, case.seed)
            pixels[at] = alpha shl 24 or (byte(4 * at, case.seed) shl 16) or (byte(4 * at + 1, case.seed) shl 8) or byte(4 * at + 2, case.seed)
        }
        return Picture(case.width, case.height, pixels)
    }

    private fun frame(case: Vector): Frame {
        val (row, colour) = case.int("row") to case.int("uv_row")
        val planes = listOf(row * case.height, colour * case.height / 2, colour * case.height / 2).mapIndexed { plane, count -> bytes(count, case.seed + plane) }
        return Frame(case.width, case.height, case.int("turn"), planes[0], planes[1], planes[2], row, colour, case.int("step"))
    }
}
