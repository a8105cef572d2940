package org.tflitelight.demo

import org.tensorflow.lite.TensorFlowLite

/** The model, its classes and its file, and the app. */
class AboutActivity : Screen(R.layout.list, R.string.about) {
    private val rows by lazy { Rows(findViewById(R.id.rows)) }

    override fun onResume() {
        super.onResume()
        engine.listen(::show)
    }

    override fun onPause() {
        engine.listen(null)
        super.onPause()
    }

    private fun show(state: State) {
        rows.clear()
        if (state is State.Ready) about(state.model)
        if (state is State.Failed) rows.add(state.problem, state.hint)
        rows.add(getString(R.string.about_app), getString(R.string.about_app_detail, version(), TensorFlowLite.runtimeVersion()))
    }

    private fun about(model: Model) =
        with(model.contract) {
            rows.add(getString(R.string.about_model), this.model)
            rows.add(getString(R.string.about_file), getString(R.string.about_file_detail, model.file.name, model.sizeKb, getString(model.file.origin.title)))
            rows.add(getString(R.string.about_input), tensor(input))
            rows.add(getString(R.string.about_output), tensor(output))
            rows.add(getString(R.string.about_goldens), "${model.goldens.size}")
            rows.add(resources.getQuantityString(R.plurals.about_classes, labels.size, labels.size), labels.joinToString(", "))
        }

    private fun tensor(tensor: org.tflitelight.demo.core.Tensor) = "${tensor.type.name.lowercase()} ${tensor.shape.joinToString(" × ")}"

    private fun version() = packageManager.getPackageInfo(packageName, 0).versionName
}
