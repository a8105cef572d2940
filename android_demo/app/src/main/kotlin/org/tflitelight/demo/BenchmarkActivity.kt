package org.tflitelight.demo

import android.content.Intent
import android.os.Build
import android.os.Bundle
import android.view.Menu
import android.view.MenuItem
import android.view.WindowManager
import java.io.File
import java.io.IOException
import org.json.JSONObject
import org.tflitelight.demo.core.sha256

/**
 * The model on each accelerator, 100 times. Started with the extra `run` (by adb) it begins by itself, with the model that
 * the extras `model`, its name, and `sha256` say where they are there; its results are left in `benchmark.json` in the app's external files folder, or why there are none.
 */
class BenchmarkActivity : Screen(R.layout.list, R.string.benchmark) {
    private val rows by lazy { Rows(findViewById(R.id.rows)) }
    private var wanted = false
    private var chosen: ModelFile? = null // where one was asked for, and is there

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        wanted = state?.getBoolean("wanted") ?: intent.getBooleanExtra("run", false)
        if (wanted) chosen = asked()
        if (state == null) chosen?.let(engine::use)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON) // a dark phone runs slower
    }

    /** The screen may be turned before the model is open. */
    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putBoolean("wanted", wanted)
    }

    /** Of the models of the name that was asked for, a bundled and a pushed one, say, that with the digest. */
    private fun asked(): ModelFile? {
        val named = demo.models.all().filter { it.name == intent.getStringExtra("model") }
        val digest = intent.getStringExtra("sha256")
        return named.find { runCatching { sha256(it.bytes()) }.getOrNull() == digest } ?: named.firstOrNull()
    }

    override fun onResume() {
        super.onResume()
        engine.listen(::show)
    }

    override fun onPause() {
        engine.listen(null)
        super.onPause()
    }

    private fun show(state: State) {
        val bench = engine.bench
        rows.clear()
        when (state) {
            is State.Failed -> failed(state)
            is State.Opening -> rows.add(getString(R.string.benchmark), ranOn(state))
            is State.Ready -> if (wanted) start() else rows.add(getString(R.string.benchmark_start), getString(R.string.benchmark_none)) { start() }
        }
        bench?.phone?.let { rows.add("${Build.MANUFACTURER} ${Build.MODEL}", describe(it)) }
        bench?.results?.forEach { rows.add(title(it.on), describe(it)) }
        if (bench?.saved == false) rows.add(getString(R.string.benchmark_unsaved), getString(R.string.benchmark_unsaved_hint))
        invalidateOptionsMenu()
    }

    private fun failed(state: State.Failed) {
        rows.add(state.problem, state.hint)
        if (!wanted) return
        wanted = false
        val json = JSONObject().put("model", chosen?.name).put("problem", state.problem).put("hint", state.hint).toString(2)
        engine.handler.post {
            try {
                save(json)
            } catch (_: IOException) { // who waits for it sees the screen
            }
        }
    }

    private fun start() {
        wanted = false
        engine.benchmark(::save)
    }

    /** On the engine's thread; throws IOException. */
    private fun save(json: String) =
        File(getExternalFilesDir(null) ?: throw IOException("there is no external storage"), "benchmark.json").writeText(json)

    private fun describe(phone: Phone): String {
        val battery = phone.batteryCelsius?.let { getString(R.string.celsius, it) } ?: getString(R.string.unknown)
        val thermal = phone.thermalStatus?.toString() ?: getString(R.string.unknown)
        return getString(R.string.benchmark_phone, Build.VERSION.RELEASE, battery, thermal, phone.memoryMb)
    }

    private fun describe(one: Timed): String {
        val runs = one.runs ?: return said(one.trial)
        return getString(R.string.benchmark_row, ms(one.coldMs), ms(one.warmMs!!), ms(runs.p50), ms(runs.p90), ms(runs.worst))
    }

    override fun onCreateOptionsMenu(menu: Menu): Boolean {
        menuInflater.inflate(R.menu.benchmark, menu)
        menu.findItem(R.id.share).isVisible = engine.bench?.json != null
        return true
    }

    override fun onOptionsItemSelected(item: MenuItem): Boolean {
        if (item.itemId != R.id.share) return super.onOptionsItemSelected(item)
        val send = Intent(Intent.ACTION_SEND).setType("text/plain").putExtra(Intent.EXTRA_TEXT, engine.bench?.json)
        startActivity(Intent.createChooser(send, getString(R.string.share)))
        return true
    }
}
