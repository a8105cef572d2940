package org.tflitelight.demo

import android.app.AlertDialog
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.view.View
import java.io.IOException
import org.tflitelight.demo.core.Problem

/** The models in the app, pushed and opened, to choose from; other apps open `.tflite` files with it. */
class ModelsActivity : Screen(R.layout.list, R.string.models) {
    private val content by lazy { findViewById<View>(R.id.content) }
    private val rows by lazy { Rows(findViewById(R.id.rows)) }
    private var asking: AlertDialog? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        if (state == null) intent.data?.let(::add)
    }

    override fun onResume() {
        super.onResume()
        list()
    }

    override fun onDestroy() {
        asking?.dismiss()
        super.onDestroy()
    }

    private fun list() = engine.handler.post { demo.models.all().let { runOnUiThread { show(it) } } }

    private fun show(models: List<ModelFile>) {
        rows.clear()
        if (models.isEmpty()) rows.add(getString(R.string.models_none), getString(R.string.models_none_hint))
        val chosen = demo.settings.model ?: models.firstOrNull()?.key
        for (model in models) {
            val remove = { ask(model, chosen) }.takeIf { model.origin == Origin.OPENED }
            rows.add(model.name, getString(model.origin.title), model.key == chosen, remove) { use(model) }
        }
        rows.add(getString(R.string.open_model), null) { pick() }
    }

    private fun use(model: ModelFile) {
        engine.use(model)
        if (intent.action == Intent.ACTION_VIEW) go<LiveActivity>() // from another app, behind this there is no screen of ours
        finish()
    }

    /** A file that was opened is a copy of the app's own, which nothing else can remove. */
    private fun ask(model: ModelFile, chosen: String?) {
        asking =
            AlertDialog.Builder(this)
                .setMessage(getString(R.string.remove_question, model.name))
                .setPositiveButton(R.string.remove) { _, _ -> remove(model, chosen) }
                .setNegativeButton(android.R.string.cancel, null)
                .show()
    }

    /** At once, as the engine's thread may be busy for minutes, and another model be chosen until then. */
    private fun remove(model: ModelFile, chosen: String?) {
        demo.models.remove(model)
        if ((demo.settings.model ?: chosen) == model.key) engine.useFirst()
        list()
    }

    private fun pick() =
        startActivityForResult(Intent(Intent.ACTION_GET_CONTENT).setType("*/*").addCategory(Intent.CATEGORY_OPENABLE), 0)

    override fun onActivityResult(code: Int, result: Int, data: Intent?) {
        data?.data?.let(::add)
    }

    private fun add(uri: Uri) = engine.handler.post {
        try {
            val model = demo.models.add(uri)
            runOnUiThread { use(model) }
        } catch (problem: Problem) {
            runOnUiThread { refuse(problem.message, problem.hint) }
        } catch (_: IOException) {
            runOnUiThread { refuse(getString(R.string.model_copy_failed), getString(R.string.model_copy_failed_hint)) }
        }
    }

    private fun refuse(problem: String, hint: String) =
        content.notice(
            problem, hint,
            Action(R.string.open_model, ::pick), Action(R.string.back, ::finish),
        )
}
