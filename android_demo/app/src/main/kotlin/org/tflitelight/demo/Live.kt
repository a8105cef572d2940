package org.tflitelight.demo

import java.nio.ByteBuffer
import org.tflitelight.demo.core.Frame
import org.tflitelight.demo.core.Label
import org.tflitelight.demo.core.Picture
import org.tflitelight.demo.core.Preprocess
import org.tflitelight.demo.core.Session
import org.tflitelight.demo.core.best
import org.tflitelight.demo.core.isNoneOfThese

/** The best labels first, or none of them, and how long they took. */
class Answer(val best: List<Label>, val isNone: Boolean, val preprocessMs: Double, val inferenceMs: Double)

/** A model that answers. Its buffers are filled anew with each picture: nothing is allocated for a frame. */
class Live(val model: Model, private val session: Session) : AutoCloseable by session {
    /** Since it was opened. */
    var hasAnswered = false
        private set

    private val preprocess = Preprocess(model.contract)
    private val input = buffer(model.contract.input.sizeBytes)
    private val output = buffer(model.contract.output.sizeBytes)

    fun answer(frame: Frame): Answer = answer { preprocess.fill(frame, it) }

    fun answer(picture: Picture): Answer = answer { preprocess.fill(picture, it) }

    /** One inference on whatever picture was the last, read back; milliseconds. Throws NoNumber, as an answer does. */
    fun run(): Double {
        val start = System.nanoTime()
        session.run(input, output)
        val ran = System.nanoTime()
        best(model.contract, output, SHOWN)
        return (ran - start) / 1e6
    }

    private inline fun answer(fill: (ByteBuffer) -> Unit): Answer {
        val start = System.nanoTime()
        fill(input)
        val filled = System.nanoTime()
        session.run(input, output)
        val ran = System.nanoTime()
        val best = best(model.contract, output, SHOWN)
        hasAnswered = true
        return Answer(best, isNoneOfThese(model.contract, output), (filled - start) / 1e6, (ran - filled) / 1e6)
    }
}

private const val SHOWN = 3
