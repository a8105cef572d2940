package org.tflitelight.demo

import org.tflitelight.demo.core.Accelerator
import org.tflitelight.demo.core.Runtime
import org.tflitelight.demo.core.Session
import org.tflitelight.demo.core.Trial
import org.tflitelight.demo.core.tryOut

/** A model on an accelerator, and what came of its golden pictures there; [session] is open where it may be used. */
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

    /** [digest]: a model's. */
    fun hasCrashed(digest: String, on: Accelerator) = mark(digest, on) in settings.crashed

    /** As if it had crashed: only a person tries it again. */
    fun leave(digest: String, on: Accelerator) {
        settings.crashed += mark(digest, on)
    }

    /** Never throws for what an accelerator does: its failure is the result. [kept] names what the runtime keeps of it. */
    fun open(model: Model, on: Accelerator, kept: String = model.digest): Tried = marked(model, on) { attempt(model, on, kept) }

    /** Runs [step] with the mark on the disk. Within another one the mark stays until that is over. */
    fun <T> marked(model: Model, on: Accelerator, step: () -> T): T {
        val (mark, before) = mark(model.digest, on) to settings.marked()
        settings.mark(mark)
        try {
            return step()
        } finally {
            settings.mark(before)
            if (before == null) settings.crashed -= mark
        }
    }

    /** Gives [step] a name under which nothing is kept of [model], as before its first start; nothing of it stays, either. */
    fun <T> anew(model: Model, step: (kept: String) -> T): T {
        val kept = "${model.digest}-anew"
        runtime.forget(kept) // a crash may have left some
        try {
            return step(kept)
        } finally {
            runtime.forget(kept)
        }
    }

    private fun attempt(model: Model, on: Accelerator, kept: String): Tried {
        val session =
            try {
                runtime.open(model.bytes, kept, on)
            } catch (error: Exception) {
                return Tried(on, Trial.Failed(error.message ?: "$error"), null)
            } catch (error: LinkageError) { // a library that is not in this APK, or not on this phone
                return Tried(on, Trial.Failed("$error".trim().substringAfterLast('/')), null) // which one, without its folder
            }
        val trial = tryOut(session, on, model.contract, model.goldens)
        if (trial !is Trial.Usable) session.close()
        return Tried(on, trial, session.takeIf { trial is Trial.Usable })
    }

    private fun mark(digest: String, on: Accelerator) = "$digest/${on.key}"
}
