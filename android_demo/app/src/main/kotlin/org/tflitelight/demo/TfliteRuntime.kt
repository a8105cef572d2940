package org.tflitelight.demo

import java.io.File
import java.nio.ByteBuffer
import org.tensorflow.lite.Delegate
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.PlanLength
import org.tensorflow.lite.gpu.GpuDelegate
import org.tensorflow.lite.gpu.GpuDelegateFactory
import org.tensorflow.lite.nnapi.NnApiDelegate
import org.tflitelight.demo.core.Accelerator
import org.tflitelight.demo.core.Runtime
import org.tflitelight.demo.core.Session

/**
 * TensorFlow Lite as the AAR has it. [kernels] keeps what a GPU driver has compiled; [log] tells what a delegate refused.
 * [preference]: for sustained speed the GPU delegate tries all sizes of work groups once, which [kernels] keeps, too.
 */
class TfliteRuntime(
    private val kernels: File,
    private val log: NativeLog,
    private val preference: Int = GpuDelegateFactory.Options.INFERENCE_PREFERENCE_SUSTAINED_SPEED,
) : Runtime {
    override fun open(model: ByteBuffer, digest: String, accelerator: Accelerator): Session {
        val before = plain(model).use { PlanLength.of(it) }
        val since = log.now()
        val delegate = delegate(accelerator, digest)
        try {
            val interpreter = Interpreter(model, options(accelerator, delegate))
            return TfliteSession(interpreter, delegate, before, refusals(log.since(since)))
        } catch (error: Throwable) {
            delegate?.close()
            throw error
        }
    }

    /** The delegate's files are named by the token of their model, and a number behind it. */
    override fun forget(digest: String) {
        kernels.listFiles { file -> file.name.startsWith("$digest-") }.orEmpty().forEach(File::delete)
    }

    private fun plain(model: ByteBuffer) = Interpreter(model, Interpreter.Options().setUseXNNPACK(false))

    /** XNNPACK is the CPU's; where it stood in for a delegate that takes nothing, the plan would change all the same. */
    private fun options(accelerator: Accelerator, delegate: Delegate?): Interpreter.Options {
        val options = Interpreter.Options().setUseXNNPACK(delegate == null)
        if (accelerator is Accelerator.Cpu) options.setNumThreads(accelerator.threads)
        return if (delegate == null) options else options.addDelegate(delegate)
    }

    private fun delegate(accelerator: Accelerator, digest: String): Delegate? =
        when (accelerator) {
            is Accelerator.Cpu -> null
            is Accelerator.Gpu -> gpu(accelerator.float16, digest)
            is Accelerator.Nnapi -> NnApiDelegate(NnApiDelegate.Options().setUseNnapiCpu(false))
        }

    /** Without `setQuantizedModelsAllowed` the delegate takes no node of an int8 model, and says nothing. */
    private fun gpu(float16: Boolean, digest: String): GpuDelegate {
        val options =
            GpuDelegateFactory.Options()
                .setQuantizedModelsAllowed(true)
                .setPrecisionLossAllowed(float16)
                .setInferencePreference(preference)
                .setSerializationParams(kernels.apply { mkdirs() }.path, "$digest-$float16")
        return GpuDelegate(options)
    }
}
