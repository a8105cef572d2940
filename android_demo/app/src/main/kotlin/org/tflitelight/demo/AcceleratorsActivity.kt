package org.tflitelight.demo

import org.tflitelight.demo.core.Accelerator

/** The accelerators to choose from, and what came of each with this model. */
class AcceleratorsActivity : Screen(R.layout.list, R.string.accelerators) {
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
        add(null, getString(R.string.auto_detail))
        for (on in offered(demo.settings)) add(on, detail(on, state))
        rows.add(getString(R.string.measure_all), ranOn(state)) { engine.measure() }
        if (!demo.settings.showNnapi) rows.add(getString(R.string.show_nnapi), getString(R.string.nnapi_note)) { showNnapi(state) }
    }

    private fun add(on: Accelerator?, detail: String) =
        rows.add(title(on), detail, chosen = on?.key == demo.settings.accelerator) { engine.use(on) }

    private fun detail(on: Accelerator, state: State): String {
        val said =
            when {
                state is State.Opening && state.on == on -> getString(R.string.measuring)
                else -> engine.tried[on]?.let { said(it.trial) } ?: untried(on)
            }
        return if (on == Accelerator.Nnapi) "$said\n${getString(R.string.nnapi_note)}" else said
    }

    private fun untried(on: Accelerator) =
        getString(if (engine.hasCrashed(on)) R.string.verdict_crashed else R.string.not_tried)

    private fun showNnapi(state: State) {
        demo.settings.showNnapi = true
        show(state)
    }
}
