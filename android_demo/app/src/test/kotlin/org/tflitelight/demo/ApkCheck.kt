package org.tflitelight.demo

import com.android.apksig.ApkVerifier
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.ZipEntry
import java.util.zip.ZipFile
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** What `make apk` has built; not a part of the fast tests, which run before it. */
class ApkCheck {
    private val shells = mapOf("arm64-v8a" to "shell.apk", "x86_64" to "shell-x86_64.apk", "armeabi-v7a" to "shell-armeabi-v7a.apk")

    @Test
    fun `it installs from Android 8 on, asks for the camera alone, and shows the GPU delegate OpenCL`() {
        val badging = run("build/aapt2", "dump", "badging", "build/shell.apk")
        assertEquals(listOf("android.permission.CAMERA"), Regex("uses-permission: name='(.*?)'").findAll(badging).map { it.groupValues[1] }.toList())
        assertTrue(badging, Regex("targetSdkVersion:'(\\d+)'").find(badging)!!.groupValues[1].toInt() >= 34)
        for (line in BADGING) assertTrue("$line is not in:\n$badging", line in badging)
    }

    @Test
    fun `it is signed by v2 and v3, without a warning`() {
        for (shell in shells.values) {
            val found = ApkVerifier.Builder(File("build/$shell")).build().verify()
            assertTrue("$shell: ${found.allErrors}", found.isVerified && found.isVerifiedUsingV2Scheme && found.isVerifiedUsingV3Scheme)
            assertEquals("$shell: ${found.warnings}", 0, found.warnings.size)
        }
    }

    @Test
    fun `its libraries are the AAR's to the byte, stored, and 16 KB aligned`() {
        for ((abi, shell) in shells) {
            val offsets = offsets(File("build/$shell"))
            ZipFile("build/$shell").use { zip ->
                for (entry in zip.stream().filter { it.method == ZipEntry.STORED }) {
                    val unit = if (entry.name.endsWith(".so")) 16384 else 4
                    assertEquals("$shell ${entry.name}", 0, offsets[entry.name]!! % unit)
                }
                for ((aar, name) in LIBRARIES) assertArrayEquals(aarsEntry(aar, "jni/$abi/$name"), zip.getInputStream(zip.getEntry("lib/$abi/$name")).readBytes())
            }
        }
    }

    @Test
    fun `an arm64 phone gets 6 MB at most`() = assertTrue(File("build/shell.apk").length() <= 6_000_000)

    /** Google Play asks for 16 KB: README says so, with what to change for those who have Google's Maven repository. */
    @Test
    fun `the libraries' segments are 4 KB`() {
        for ((aar, name) in LIBRARIES) assertEquals(setOf(4096L), segments(aarsEntry(aar, "jni/arm64-v8a/$name")))
    }

    @Test
    fun `its code is the app's, the part of TFLite and of Kotlin that it reaches, and nothing else`() {
        val classes = classes(ZipFile("build/shell.apk").use { it.getInputStream(it.getEntry("classes.dex")).readBytes() })
        assertEquals(emptyList<String>(), classes.filterNot { name -> CODE.any(name::startsWith) })
        assertTrue("${classes.size} classes", classes.size <= 250)
        assertTrue(classes.none { "acceleration" in it || "gpu/CompatibilityList" in it || "SignatureRunner" in it && "Wrapper" !in it })
    }

    @Test
    fun `it holds no model`() = ZipFile("build/shell.apk").use { zip -> assertTrue(zip.stream().noneMatch { it.name.startsWith("assets/") }) }

    private fun run(vararg command: String) = ProcessBuilder(*command).redirectErrorStream(true).start().inputStream.reader().readText()

    private fun aarsEntry(name: String, entry: String): ByteArray {
        val version = System.getProperty("tflite")
        return ZipFile("${System.getProperty("aars")}/$name/$version/$name-$version.aar").use { it.getInputStream(it.getEntry(entry)).readBytes() }
    }

    /** Where each entry's content begins: java.util.zip does not say. */
    private fun offsets(apk: File): Map<String, Int> {
        val bytes = little(apk.readBytes())
        val end = (bytes.capacity() - 22 downTo 0).first { bytes.getInt(it) == 0x06054b50 }
        var at = bytes.getInt(end + 16)
        return List(bytes.getShort(end + 10).toInt()) {
            val (name, extra) = bytes.getShort(at + 28).toInt() to bytes.getShort(at + 30).toInt()
            val local = bytes.getInt(at + 42)
            val key = String(bytes.array(), at + 46, name)
            at += 46 + name + extra + bytes.getShort(at + 32)
            key to local + 30 + bytes.getShort(local + 26) + bytes.getShort(local + 28)
        }.toMap()
    }

    /** p_align of an ELF file's loaded segments, 64 bits. */
    private fun segments(elf: ByteArray): Set<Long> =
        little(elf).run {
            val (table, size, count) = Triple(getLong(32).toInt(), getShort(54).toInt(), getShort(56).toInt())
            (0 until count).map { table + it * size }.filter { getInt(it) == 1 }.map { getLong(it + 48) }.toSet()
        }

    /** The names of the classes that a dex file defines, as Lorg/example/Name; */
    private fun classes(dex: ByteArray): List<String> =
        little(dex).run {
            val (strings, types, definitions) = Triple(getInt(0x3C), getInt(0x44), getInt(0x64))
            List(getInt(0x60)) { text(dex, getInt(strings + 4 * getInt(types + 4 * getInt(definitions + 32 * it)))) }
        }

    /** Behind its length in up to five bytes, ended by 0. */
    private fun text(dex: ByteArray, at: Int): String {
        var start = at
        while (dex[start] < 0) start += 1
        return String(dex, start + 1, (start + 1 until dex.size).first { dex[it].toInt() == 0 } - start - 1)
    }

    private fun little(bytes: ByteArray) = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
}

private val LIBRARIES = mapOf("tensorflow-lite" to "libtensorflowlite_jni.so", "tensorflow-lite-gpu" to "libtensorflowlite_gpu_jni.so")
private val CODE = listOf("Lorg/tflitelight/demo/", "Lorg/tensorflow/lite/", "Lkotlin/")
private val BADGING =
    listOf(
        "package: name='org.tflitelight.demo'",
        "minSdkVersion:'26'",
        "uses-native-library-not-required:'libOpenCL.so'",
        "uses-native-library-not-required:'libOpenCL-pixel.so'",
        "uses-feature-not-required: name='android.hardware.camera'",
        "launchable-activity: name='org.tflitelight.demo.LiveActivity'",
        "native-code: 'arm64-v8a'",
    )
