package org.tflitelight.demo.core

import java.nio.ByteBuffer

/** What can run a model on a phone; [key] is its name in settings and reports. */
sealed class Accelerator(val key: String) {
    /** XNNPACK. */
    data class Cpu(val threads: Int) : Accelerator("cpu$threads")

    /** The GPU delegate; [float16]: it may compute in 16 bits. */
    data class Gpu(val float16: Boolean) : Accelerator(if (float16) "gpu16" else "gpu")

    data object Nnapi : Accelerator("nnapi")

    companion object {
        val all = listOf(Cpu(1), Cpu(2), Cpu(4), Gpu(false), Gpu(true), Nnapi)
    }
}

/** Runs models; TensorFlow Lite, or a test's. */
interface Runtime {
    /** [model]: a direct buffer with the file; [digest] names it among what is kept of it. May throw anything. */
    fun open(model: ByteBuffer, digest: String, accelerator: Accelerator): Session

    /** Removes what is kept under [digest]: the next start compiles anew. */
    fun forget(digest: String)
}

/** A model on an accelerator, for one thread. */
interface Session : AutoCloseable {
    /** Nodes of the execution plan without any delegate, and as it is. */
    val nodesBefore: Int
    val nodes: Int

    /** What a delegate said of operations that it does not take. */
    val refused: List<String>

    /** Returns when [output] has been read back. Both are direct buffers. */
    fun run(input: ByteBuffer, output: ByteBuffer)
}
