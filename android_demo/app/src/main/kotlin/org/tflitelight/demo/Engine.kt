package org.tflitelight.demo

import android.os.Build
import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import java.io.IOException
import org.tflitelight.demo.core.Accelerator
import org.tflitelight.demo.core.Frame
import org.tflitelight.demo.core.Picture
import org.tflitelight.demo.core.Problem
import org.tflitelight.demo.core.Runtime
import org.tflitelight.demo.core.Trial

/** What a screen can say about the model in use. */
sealed interface State {
    /** The model is read, or tried [on] an accelerator. */
    class Opening(val on: Accelerator?) : State

    /** It answers, on [on]; [refused] is what was asked for and is not used, and why. */
    class Ready(val model: Model, val on: Accelerator, val trial: Trial.Right, val refused: Tried?) : State

    class Failed(val problem: String, val hint: String) : State
}

/** A benchmark so far; [json] when it is done. */
class Bench(val phone: Phone, val results: List<Timed>, val json: String?)

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
    private var started = false

    /** Of the main thread alone, like [tried]. */
    var state: State = State.Opening(null)
        private set

    /** What came of each accelerator with this model since the app started. */
    val tried = mutableMapOf<Accelerator, Tried>()

    /** The last benchmark of this model, so far as it has come. */
    var bench: Bench? = null
        private set

    /** Tells [told] of the state, now and whenever it changes; null: nobody. One screen is in front at a time. */
    fun listen(told: ((State) -> Unit)?) {
        listener = told
        told?.invoke(state)
        if (!started) restart(measure = false)
    }

    fun use(model: ModelFile) {
        demo.settings.model = model.key
        tried.clear()
        bench = null
        restart(measure = false)
    }

    /** null: Auto. */
    fun use(accelerator: Accelerator?) {
        demo.settings.accelerator = accelerator?.key
        restart(measure = false)
    }

    /** Tries every accelerator with the model in use, whatever is remembered of it. */
    fun measure() = restart(measure = true)

    /** Times the model on every accelerator; [done] gets the results as JSON, on the engine's thread. */
    fun benchmark(done: (json: String) -> Unit) {
        val model = (state as? State.Ready)?.model ?: return
        handler.post {
            close()
            val phone = phone(demo)
            val results = mutableListOf<Timed>()
            for (on in offered(demo.settings).filterNot { trials.hasCrashed(model, it) }) {
                main.post { say(State.Opening(on)) }
                results += time(trials, model, on)
                Bench(phone, results.toList(), null).let { main.post { bench = it } }
            }
            val json = json(model, phone, results).also(done)
            main.post { bench = Bench(phone, results, json) }
            main.post { restart(measure = false) }
        }
    }

    fun hasCrashed(on: Accelerator): Boolean = (state as? State.Ready)?.let { trials.hasCrashed(it.model, on) } ?: false

    /** The best labels; null where no model is ready. On the engine's thread alone. */
    fun answer(picture: Picture): Answer? = live?.let { guarded { it.answer(picture) } }

    fun answer(frame: Frame): Answer? = live?.let { guarded { it.answer(frame) } }

    private fun restart(measure: Boolean) {
        started = true
        say(State.Opening(null))
        handler.post {
            val opened = open(measure)
            main.post { say(opened) }
        }
    }

    private fun say(said: State) {
        state = said
        listener?.invoke(said)
    }

    private fun open(measure: Boolean): State {
        close()
        return try {
            val file = demo.models.find(demo.settings.model) ?: return failed(R.string.models_none, R.string.models_none_hint)
            start(Model.read(file), measure)
        } catch (problem: Problem) {
            State.Failed(problem.message, problem.hint)
        } catch (_: IOException) {
            failed(R.string.model_gone, R.string.model_gone_hint)
        } catch (_: OutOfMemoryError) {
            failed(R.string.model_memory, R.string.model_memory_hint)
        }
    }

    /** On what was asked for, else on the CPU; the state says so. */
    private fun start(model: Model, measure: Boolean): State {
        val asked = Accelerator.all.find { it.key == demo.settings.accelerator }
        if (measure) fastest(model, anew = true)
        val first = open(model, asked ?: fastest(model, anew = false))
        if (first.session != null) return ready(model, first, null)
        val second = open(model, CPU)
        return if (second.session != null) ready(model, second, first) else useless(second)
    }

    private fun ready(model: Model, on: Tried, refused: Tried?): State {
        live = Live(model, on.session!!)
        return State.Ready(model, on.on, on.trial as Trial.Right, refused)
    }

    /** Of those whose answers are right; measured once for a model on this phone, and remembered. */
    private fun fastest(model: Model, anew: Boolean): Accelerator {
        val known = Accelerator.all.find { it.key == demo.settings.fastest(model.digest) }
        if (known != null && !anew) return known
        val right = offered(demo.settings).filterNot { trials.hasCrashed(model, it) }.map { open(model, it) }
        right.forEach { it.session?.close() }
        val best = right.filter { it.trial is Trial.Right }.minByOrNull { (it.trial as Trial.Right).ms }?.on ?: CPU
        demo.settings.keepFastest(model.digest, best.key)
        return best
    }

    private fun open(model: Model, on: Accelerator): Tried {
        main.post { say(State.Opening(on)) }
        return trials.open(model, on).also { one -> main.post { tried[on] = one } }
    }

    /** A driver that gives up in the middle of things: the model starts again, and its golden pictures tell. */
    private fun guarded(step: () -> Answer): Answer? =
        try {
            step()
        } catch (_: IllegalArgumentException) { // how TFLite says that the native run failed
            close()
            main.post { restart(measure = false) }
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

/** What this phone is shown: NNAPI, which came with Android 8.1, only where it is asked for or not deprecated yet. */
fun offered(settings: Settings): List<Accelerator> =
    Accelerator.all.filter { it != Accelerator.Nnapi || settings.showNnapi && Build.VERSION.SDK_INT >= 27 }
