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
import org.tflitelight.demo.core.Statistics
import org.tflitelight.demo.core.Trial

/** How fast a model is on an accelerator; without [runs] where its golden pictures were not right there. */
class Timed(val on: Accelerator, val trial: Trial, val coldMs: Double, val warmMs: Double?, val runs: Statistics?)

/** State of the phone, which its speed depends on; null: the system does not say. */
class Phone(val batteryCelsius: Double?, val thermalStatus: Int?, val memoryMb: Long)

/**
 * Cold start: from a file's bytes to the first right answers, as the app starts it, golden pictures and a driver's
 * compiling included. Warm start: the same once more. A run ends when its answer has been read back.
 */
fun time(trials: Trials, model: Model, on: Accelerator): Timed {
    val (cold, coldMs) = timed { trials.open(model, on) }
    cold.session?.close() ?: return Timed(on, cold.trial, coldMs, null, null)
    val (warm, warmMs) = timed { trials.open(model, on) }
    val session = warm.session ?: return Timed(on, warm.trial, coldMs, warmMs, null)
    return Live(model, session).use { Timed(on, warm.trial, coldMs, warmMs, Statistics(DoubleArray(RUNS) { _ -> it.run() })) }
}

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
