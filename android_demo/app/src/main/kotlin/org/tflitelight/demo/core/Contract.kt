package org.tflitelight.demo.core

import java.security.MessageDigest

/** One end of a file: real = (value - zeroPoint) * scale, or the value where scale is 0. */
data class Tensor(val shape: List<Int>, val type: Type, val scale: Float, val zeroPoint: Int) {
    enum class Type(val bytes: Int, val least: Int, val most: Int) {
        FLOAT32(4, 0, 0),
        INT8(1, -128, 127),
        UINT8(1, 0, 255),
    }

    val count get() = shape.fold(1, Int::times)
    val sizeBytes get() = count * type.bytes
}

/** A picture beside the file, and the file's own answer to it, in the output's own type. */
data class Golden(val picture: String, val label: String?, val inputSha256: String?, val output: DoubleArray) {
    override fun equals(other: Any?) = this === other

    override fun hashCode() = picture.hashCode()
}

/** How sure the file's answers are: probabilities are softmax(logits / temperature), and below the threshold it knows none. */
data class Confidence(val temperature: Double, val threshold: Double?)

/** All that a file's consumer needs to know; it comes with the file itself. */
data class Contract(
    val model: String,
    val image: Image,
    val labels: List<String>,
    val input: Tensor,
    val output: Tensor,
    val golden: List<Golden>,
    private val network: Network?,
    /** Whether some of it is computed in integers, whatever its ends are. */
    val integersInside: Boolean = false,
    /** null before minor 3, and where no labelled pictures were there. */
    val confidence: Confidence? = null,
    /** Of version 1; a higher one has more keys. */
    val minor: Int = 0,
) {
    /** The file's first bytes, which the contract was written for. */
    data class Network(val sizeBytes: Int, val sha256: String) {
        fun begins(bytes: ByteArray) = sizeBytes <= bytes.size && sha256(bytes, sizeBytes) == sha256
    }

    companion object {
        /**
         * Of the `.tflite` in [bytes], whose contract may also lie [beside] it, with golden pictures; [name] is the file's,
         * for messages. Throws Problem where there is none, or it is damaged, another file's, or newer than this app.
         */
        fun read(name: String, bytes: ByteArray, beside: ByteArray?): Contract {
            requireModel(name, bytes)
            val inside = inside(name, bytes)
            val side = beside?.let { ContractReader("the contract beside $name").read(it) }
            if (side != null && inside != null && side.copy(golden = emptyList()) != inside.copy(golden = emptyList())) {
                throw Problem("The contract beside $name and the one inside it disagree.", "Copy the .tflite and its .json again, both of one export.")
            }
            val agreed = side ?: inside ?: throw Problem("$name has no contract, so nobody knows what its inputs and outputs mean.", "Export it by tflite-light.")
            if (agreed.network?.begins(bytes) == false) throw Problem("$name is damaged, or its contract is another file's: their digests differ.", AGAIN)
            return agreed
        }

        private fun inside(name: String, bytes: ByteArray): Contract? {
            val members =
                try {
                    Archive.of(bytes)?.members(setOf(CONTRACT, LABELS, OLD_LABELS)).orEmpty()
                } catch (problem: Problem) {
                    throw Problem("$name is damaged: ${problem.message}.", problem.hint)
                }
            val found = members[CONTRACT]?.let { ContractReader("the contract inside $name").read(it) } ?: return null
            val labels = members[if (found.minor < 2) OLD_LABELS else LABELS] ?: return found // a newer file's labels.txt is another tool's
            if (String(labels) != found.labels.joinToString("") { "$it\n" }) throw Problem("The contract and the label file inside $name have different labels.", AGAIN)
            return found
        }

        private const val CONTRACT = "contract.json"
        private const val LABELS = "contract_labels.txt"
        private const val OLD_LABELS = "labels.txt" // before minor 2
        private const val AGAIN = "Copy the file again, or export the model again."
    }
}

/** Throws Problem where a file's first bytes are not a model's. */
fun requireModel(name: String, begins: ByteArray) {
    if (begins.size < 8 || String(begins, 4, 4, Charsets.ISO_8859_1) != "TFL3") throw Problem("$name is not a TensorFlow Lite model.", "Choose a .tflite file.")
}

/** Lower-case hexadecimal, of the first [count] bytes. */
fun sha256(bytes: ByteArray, count: Int = bytes.size): String =
    MessageDigest.getInstance("SHA-256").apply { update(bytes, 0, count) }.digest().joinToString("") { "%02x".format(it) }
