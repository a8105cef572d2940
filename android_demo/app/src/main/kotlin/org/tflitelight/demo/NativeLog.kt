package org.tflitelight.demo

import android.os.Process
import java.io.IOException
import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale

/** What this app's own native code has written to the system's log; an app may read no other. */
class NativeLog {
    fun now(): String = SimpleDateFormat("MM-dd HH:mm:ss.SSS", Locale.ROOT).format(Date())

    /** TFLite's lines since [start]; none where the system gives none. */
    fun since(start: String): List<String> =
        try {
            val command = listOf("logcat", "-d", "-v", "raw", "-T", start, "--pid", "${Process.myPid()}", "-s", "tflite")
            ProcessBuilder(command).start().inputStream.bufferedReader().use { it.readLines() }
        } catch (_: IOException) {
            emptyList()
        }
}

/**
 * The operations that a delegate did not take, each with its reason. The GPU delegate writes them between a heading and
 * a count: "Following operations are not supported by GPU delegate:", "GATHER_ND: Operation is not supported.",
 * "2 operations will run on the GPU, and the remaining 1 operations will run on the CPU."
 */
fun refusals(log: List<String>): List<String> =
    log.dropWhile { "are not supported by" !in it }.drop(1).takeWhile { "operations will run" !in it }.filter { it.isNotBlank() }.distinct()
