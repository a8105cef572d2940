package org.tflitelight.demo

import android.os.Build
import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import java.io.IOException
import org.tflitelight.demo.core.Accelerator
import org.tflitelight.demo.core.Frame
import org.tflitelight.demo.core.NoNumber
import org.tflitelight.demo.core.Picture
import org.tflitelight.demo.core.Problem
import org.tflitelight.demo.core.Runtime
import org.tflitelight.demo.core.Trial
import org.tflitelight.demo.core.fastest

/**
 * The model in use on the accelerator in use. What touches a model runs on one thread of its own, [handler]'s, as a GPU
 * delegate has to be used where it was made; screens are told on the main thread.
 */
class Engine(private val demo: Demo, runtime: Runtime) {
    private val thread = HandlerThread("model").apply { start() }
    val handler = Handler(thread.looper)
    private val main = Handler(Looper.getMainLooper())
    private val trials = Trials(runtime, demo.settings)
    private var listener: ((State) -> Unit)? = null
    private var live: Live? = null // of the engine's thread alone
    private var on: Accelerator = CPU // what it runs on
    private var started = false
    private var choice = 0 // how often a model has been chosen; of the main thread alone
    private var serving = 0 // the choice that is worked for; of the engine's thread alone

    /** Of the main thread alone, like [results]. */
    var state: State = State.Opening(null)
        private set

    private var results = Results()
    val tried get() = results.tried
    val bench get() = results.bench

    /** Tells [told] of the state, now and whenever it changes; null: nobody. One screen is in front at a time. */
    fun listen(told: ((State) -> Unit)?) {
        listener = told
        told?.invoke(state)
        if (!started) restart()
    }

    fun use(model: ModelFile) = choose(model.key)

    /** The first model there is, if any. */
    fun useFirst() = choose(null)

    private fun choose(model: String?) {
        demo.settings.model = model
        choice += 1
        results = Results()
        restart()
    }

    /** By hand, so that one that has crashed is tried again; null: Auto. */
    fun use(accelerator: Accelerator?) {
        demo.settings.accelerator = accelerator?.key
        restart(again = accelerator)
    }

    /** Tries every accelerator with the model in use that has not crashed: that would end all other trials, too. */
    fun measure() = restart(measure = true)

    /** Times the model on every accelerator; [save] gets the results as JSON, on the engine's thread, and may throw IOException. */
    fun benchmark(save: (json: String) -> Unit) {
        val model = (state as? State.Ready)?.model ?: return
        work {
            close()
            val phone = phone(demo)
            val timed = mutableListOf<Timed>()
            for (on in sound(model)) {
                tell { say(State.Opening(on)) }
                timed += time(trials, model, on)
                note(model, Bench(phone, timed.toList()))
            }
            val json = json(model, phone, timed)
            note(model, Bench(phone, timed, json, saved = saved { save(json) }))
            tell { restart() }
        }
    }

    private fun saved(save: () -> Unit): Boolean =
        try {
            save()
            true
        } catch (_: IOException) {
            false
        }

    fun hasCrashed(on: Accelerator): Boolean = results.digest?.let { trials.hasCrashed(it, on) } ?: false

    /** The best labels; null where no model is ready. On the engine's thread alone. */
    fun answer(picture: Picture): Answer? = live?.let { guarded(it) { it.answer(picture) } }

    fun answer(frame: Frame): Answer? = live?.let { guarded(it) { it.answer(frame) } }

    /** [again] is tried even where it has crashed. */
    private fun restart(measure: Boolean = false, again: Accelerator? = null) {
        started = true
        say(State.Opening(null))
        work {
            val opened = open(measure, again)
            tell { say(opened) }
        }
    }

    private fun say(said: State) {
        state = said
        listener?.invoke(said)
    }

    /** On the engine's thread, for the model that is chosen now. */
    private fun work(step: () -> Unit) {
        val chosen = choice
        handler.post {
            serving = chosen
            step()
        }
    }

    /** On the main thread, unless another model has been chosen since the work began. */
    private fun tell(step: () -> Unit) {
        val served = serving
        main.post { if (served == choice) step() }
    }

    private fun note(model: Model, bench: Bench) = note(model) { it.copy(bench = bench) }

    /** A file may be another one under the same name, pushed anew: its results begin anew, too. */
    private fun note(model: Model, change: (Results) -> Results) = tell {
        results = change(if (results.digest == model.digest) results else Results(model.digest))
    }

    private fun open(measure: Boolean, again: Accelerator?): State {
        close()
        return try {
            val file = demo.models.find(demo.settings.model) ?: return failed(R.string.models_none, R.string.models_none_hint)
            start(Model.read(file), measure, again)
        } catch (problem: Problem) {
            State.Failed(problem.message, problem.hint)
        } catch (_: IOException) {
            failed(R.string.model_gone, R.string.model_gone_hint)
        } catch (_: OutOfMemoryError) {
            failed(R.string.model_memory, R.string.model_memory_hint)
        }
    }

    /** On what was asked for, else on the CPU; the state says so. */
    private fun start(model: Model, measure: Boolean, again: Accelerator?): State {
        val asked = Accelerator.all.find { it.key == demo.settings.accelerator }
        if (measure) fastest(model, anew = true)
        val first = open(model, asked ?: fastest(model, anew = false), again)
        if (first.session != null) return ready(model, first, null)
        val second = open(model, spare(model))
        return if (second.session != null) ready(model, second, first) else useless(second)
    }

    /** The app may have been ended from outside in a trial, which looks like a crash: then with other threads. */
    private fun spare(model: Model): Accelerator = SPARE.find { !trials.hasCrashed(model.digest, it) } ?: CPU

    private fun ready(model: Model, on: Tried, refused: Tried?): State {
        live = Live(model, on.session!!)
        this.on = on.on
        return State.Ready(model, on.on, on.trial as Trial.Usable, refused)
    }

    /** What Auto takes; measured once for a model on this phone, and remembered until it crashes. */
    private fun fastest(model: Model, anew: Boolean): Accelerator {
        val known = Accelerator.all.find { it.key == demo.settings.fastest(model.digest) }
        if (known != null && !anew && !trials.hasCrashed(model.digest, known)) return known
        val tried = sound(model).map { on -> open(model, on).also { it.session?.close() } } // two at once need twice the memory
        val best = fastest(tried.associate { it.on to it.trial }) ?: CPU
        demo.settings.keepFastest(model.digest, best.key)
        return best
    }

    /** Those that have not crashed with the model. */
    private fun sound(model: Model) = offered(demo.settings).filterNot { trials.hasCrashed(model.digest, it) }

    /** What has crashed is not opened, or the app would stop at each start; but for [again], which a person asked for. */
    private fun open(model: Model, on: Accelerator, again: Accelerator? = null): Tried {
        tell { say(State.Opening(on)) }
        val crashed = on != again && trials.hasCrashed(model.digest, on)
        val tried = if (crashed) Tried(on, Trial.Crashed, null) else trials.open(model, on)
        note(model) { it.copy(tried = it.tried + (on to tried)) }
        return tried
    }

    /**
     * A driver that gives up in the middle of things: the model starts again, and its golden pictures tell. One that gives up
     * at the first picture would do so again, without end: it is left; so is one, other than the CPU, that answers with
     * what is no number. Throws Problem where the CPU does: then it is the model that does.
     */
    private fun guarded(used: Live, step: () -> Answer): Answer? =
        try {
            step()
        } catch (error: IllegalArgumentException) { // how TFLite says that the native run failed
            val strange = error is NoNumber
            if (strange && on is Accelerator.Cpu) throw Problem(demo.getString(R.string.answer_no_number), demo.getString(R.string.answer_no_number_hint))
            if (strange || !used.hasAnswered) trials.leave(used.model.digest, on)
            close()
            tell { restart() }
            null
        }

    private fun useless(on: Tried): State = State.Failed(demo.said(on.trial), demo.getString(R.string.model_useless_hint))

    private fun failed(problem: Int, hint: Int) = State.Failed(demo.getString(problem), demo.getString(hint))

    private fun close() {
        live?.close()
        live = null
    }
}

private val CPU = Accelerator.Cpu(4)
private val SPARE = listOf(CPU, Accelerator.Cpu(2), Accelerator.Cpu(1))

/** What this phone is shown: NNAPI, which came with Android 8.1, only where it is asked for or not deprecated yet. */
fun offered(settings: Settings): List<Accelerator> =
    Accelerator.all.filter { it != Accelerator.Nnapi || settings.showNnapi && Build.VERSION.SDK_INT >= 27 }
