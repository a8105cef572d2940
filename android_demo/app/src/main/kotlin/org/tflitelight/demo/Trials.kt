package org.tflitelight.demo

import org.tflitelight.demo.core.Accelerator
import org.tflitelight.demo.core.Runtime
import org.tflitelight.demo.core.Session
import org.tflitelight.demo.core.Trial
import org.tflitelight.demo.core.tryOut

/** A model on an accelerator, and what came of its golden pictures there; [session] is open where they were right. */
class Tried(val on: Accelerator, val trial: Trial, val session: Session?)

/**
 * Puts models on accelerators, golden pictures first. A driver may crash and take the app with it: each trial leaves a
 * mark on the disk until it is over, and what the next start finds marked is tried only when it is asked for by hand.
 */
class Trials(private val runtime: Runtime, private val settings: Settings) {
    init {
        settings.marked()?.let { settings.crashed += it }
        settings.mark(null)
    }

    fun hasCrashed(model: Model, on: Accelerator) = mark(model, on) in settings.crashed

    /** Never throws for what an accelerator does: its failure is the result. */
    fun open(model: Model, on: Accelerator): Tried {
        settings.mark(mark(model, on))
        try {
            return attempt(model, on)
        } finally {
            settings.mark(null)
            settings.crashed -= mark(model, on)
        }
    }

    private fun attempt(model: Model, on: Accelerator): Tried {
        val session =
            try {
                runtime.open(model.bytes, model.digest, on)
            } catch (error: Exception) {
                return Tried(on, Trial.Failed(error.message ?: "$error"), null)
            } catch (error: LinkageError) { // a library that is not in this APK, or not on this phone
                return Tried(on, Trial.Failed("$error".trim().substringAfterLast('/')), null) // which one, without its folder
            }
        val trial = tryOut(session, on, model.contract, model.goldens)
        if (trial !is Trial.Right) session.close()
        return Tried(on, trial, session.takeIf { trial is Trial.Right })
    }

    private fun mark(model: Model, on: Accelerator) = "${model.digest}/${on.key}"
}
