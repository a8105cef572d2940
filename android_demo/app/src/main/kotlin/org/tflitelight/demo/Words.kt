package org.tflitelight.demo

import android.content.Context
import org.tflitelight.demo.core.Accelerator
import org.tflitelight.demo.core.Trial

fun Context.title(on: Accelerator?): String =
    when (on) {
        null -> getString(R.string.auto)
        is Accelerator.Cpu -> resources.getQuantityString(R.plurals.cpu, on.threads, on.threads)
        is Accelerator.Gpu -> getString(if (on.float16) R.string.gpu_float16 else R.string.gpu)
        Accelerator.Nnapi -> getString(R.string.nnapi)
    }

/** One line on what runs the model; nothing where it cannot run. */
fun Context.ranOn(state: State): String? =
    when (state) {
        is State.Opening -> state.on?.let { getString(R.string.model_trying, title(it)) } ?: getString(R.string.starting)
        is State.Ready -> getString(R.string.ran_on, state.model.file.name, title(state.on))
        is State.Failed -> null
    }

/** Why what was asked for is not used, or what runs could not be checked. */
fun Context.warning(ready: State.Ready): String? =
    ready.refused?.let { getString(R.string.not_used, title(it.on), said(it.trial)) } ?: (ready.trial as? Trial.Unreadable)?.let(::said)

fun Context.said(trial: Trial): String =
    when (trial) {
        is Trial.Right -> getString(R.string.verdict_right, ms(trial.ms))
        is Trial.Unchecked -> getString(R.string.verdict_unchecked, ms(trial.ms))
        is Trial.Unreadable -> getString(R.string.verdict_unreadable, ms(trial.ms), trial.picture)
        is Trial.Wrong -> getString(R.string.verdict_wrong, trial.text)
        is Trial.Unused -> (listOf(getString(R.string.verdict_unused)) + trial.refused).joinToString("\n")
        is Trial.Failed -> said(trial.text)
        Trial.Crashed -> getString(R.string.verdict_crashed)
    }

/** What TFLite says in its own words, in words of ours where it is a thing that happens to people. */
private fun Context.said(error: String): String {
    val operation = Regex("builtin opcode '(\\w+)' version '(\\d+)'").find(error)
    return if (operation == null) getString(R.string.verdict_failed, error) else newer(operation.groupValues[1], operation.groupValues[2])
}

private fun Context.newer(operation: String, version: String) =
    getString(R.string.verdict_newer, operation, version, org.tensorflow.lite.TensorFlowLite.runtimeVersion())

/** 0.42, 4.2, 42 */
fun ms(value: Double): String = (if (value < 1) "%.2f" else if (value < 10) "%.1f" else "%.0f").format(value)
