package org.tflitelight.demo

import org.tflitelight.demo.core.Accelerator
import org.tflitelight.demo.core.Trial

/** What a screen can say about the model in use. */
sealed interface State {
    /** The model is read, or tried [on] an accelerator. */
    class Opening(val on: Accelerator?) : State

    /** It answers, on [on]; [refused] is what was asked for and is not used, and why. */
    class Ready(val model: Model, val on: Accelerator, val trial: Trial.Usable, val refused: Tried?) : State

    class Failed(val problem: String, val hint: String) : State
}

/** A benchmark so far; [json] when it is done, and whether it could be [saved]. */
class Bench(val phone: Phone, val results: List<Timed>, val json: String? = null, val saved: Boolean = true)

/**
 * What came of one model, by its [digest], since it was chosen: of its accelerators, and of its last benchmark, so far as
 * that has come. One value, so that no result of a model can stand under another.
 */
data class Results(val digest: String? = null, val tried: Map<Accelerator, Tried> = emptyMap(), val bench: Bench? = null)
