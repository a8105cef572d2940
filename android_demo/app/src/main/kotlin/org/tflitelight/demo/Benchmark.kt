package org.tflitelight.demo

import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.BatteryManager
import android.os.Build
import android.os.Debug
import android.os.PowerManager
import org.json.JSONArray
import org.json.JSONObject
import org.tflitelight.demo.core.Accelerator
import org.tflitelight.demo.core.Session
import org.tflitelight.demo.core.Statistics
import org.tflitelight.demo.core.Trial

/** How fast a model is on an accelerator; without [runs] where it cannot be used there. */
class Timed(val on: Accelerator, val trial: Trial, val coldMs: Double, val warmMs: Double?, val runs: Statistics?)

/** State of the phone, which its speed depends on; null: the system does not say. */
class Phone(val batteryCelsius: Double?, val thermalStatus: Int?, val memoryMb: Long)

/**
 * Cold start: from a file's bytes to the first right answers, as the app starts it for the first time, golden pictures and
 * a driver's compiling included, though a driver may keep something of its own. Warm start: the same once more. A run ends
 * when its answer has been read back. The mark stays all the time: a driver may crash in the hundredth run, too.
 */
fun time(trials: Trials, model: Model, on: Accelerator): Timed =
    trials.marked(model, on) { trials.anew(model) { kept -> time(model, on) { trials.open(model, on, kept) } } }

private fun time(model: Model, on: Accelerator, open: () -> Tried): Timed {
    val (cold, coldMs) = timed(open)
    cold.session?.close() ?: return Timed(on, cold.trial, coldMs, null, null)
    val (warm, warmMs) = timed(open)
    val session = warm.session ?: return Timed(on, warm.trial, coldMs, warmMs, null)
    return try {
        Timed(on, warm.trial, coldMs, warmMs, runs(model, session))
    } catch (error: IllegalArgumentException) { // how TFLite says that the native run failed
        Timed(on, Trial.Failed(error.message ?: "$error"), coldMs, warmMs, null)
    }
}

private fun runs(model: Model, session: Session) = Live(model, session).use { Statistics(DoubleArray(RUNS) { _ -> it.run() }) }

private inline fun <T> timed(step: () -> T): Pair<T, Double> {
    val start = System.nanoTime()
    return step() to (System.nanoTime() - start) / 1e6
}

fun phone(context: Context): Phone {
    val battery = context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED))
    val tenths = battery?.getIntExtra(BatteryManager.EXTRA_TEMPERATURE, 0)?.takeIf { it != 0 }
    val power = context.getSystemService(PowerManager::class.java)
    val thermal = if (Build.VERSION.SDK_INT >= 29) power.currentThermalStatus else null
    return Phone(tenths?.div(10.0), thermal, Debug.getPss() / 1000)
}

/** What is shared, and what `tflite-light android --benchmark` reads. */
fun json(model: Model, phone: Phone, results: List<Timed>): String =
    JSONObject()
        .put("version", 1)
        .put("model", model.file.name)
        .put("sha256", model.digest)
        .put("phone", "${Build.MANUFACTURER} ${Build.MODEL}")
        .put("android", Build.VERSION.RELEASE)
        .put("processor", if (Build.VERSION.SDK_INT >= 31) Build.SOC_MODEL else Build.HARDWARE)
        .put("tflite", org.tensorflow.lite.TensorFlowLite.runtimeVersion())
        .put("battery_celsius", phone.batteryCelsius)
        .put("thermal_status", phone.thermalStatus)
        .put("memory_mb", phone.memoryMb)
        .put("accelerators", JSONArray(results.map(::json)))
        .toString(2)

private fun json(one: Timed): JSONObject =
    JSONObject()
        .put("accelerator", one.on.key)
        .put("verdict", one.trial.javaClass.simpleName.lowercase())
        .put("cold_start_ms", one.coldMs)
        .put("warm_start_ms", one.warmMs)
        .put("runs", if (one.runs == null) 0 else RUNS)
        .put("p50_ms", one.runs?.p50)
        .put("p90_ms", one.runs?.p90)
        .put("worst_ms", one.runs?.worst)

private const val RUNS = 100
