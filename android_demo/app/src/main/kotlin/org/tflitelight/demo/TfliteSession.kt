package org.tflitelight.demo

import java.nio.ByteBuffer
import org.tensorflow.lite.Delegate
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.PlanLength
import org.tflitelight.demo.core.Session

/** An interpreter and the delegate it needs; to be used on the thread that opened it. */
class TfliteSession(
    private val interpreter: Interpreter,
    private val delegate: Delegate?,
    override val nodesBefore: Int,
    override val refused: List<String>,
) : Session {
    override val nodes = PlanLength.of(interpreter)

    override fun run(input: ByteBuffer, output: ByteBuffer) {
        input.rewind()
        output.rewind()
        interpreter.run(input, output)
    }

    override fun close() {
        interpreter.close()
        delegate?.close()
    }
}
