package org.tflitelight.demo.core

import java.nio.ByteBuffer

/** Reads a contract's JSON; [where] names it in messages. Keys that are not known are passed by, missing ones refused. */
internal class ContractReader(private val where: String) {
    /** null for what is no contract at all, but other JSON, or none. */
    fun read(content: ByteArray): Contract? {
        val text = runCatching { Json.parse(utf8(content)) }.getOrNull() as? Map<*, *> ?: return null
        val version = (text["version"] as? Double)?.takeIf { it % 1 == 0.0 } ?: return null
        if (version > 1) throw Problem("${sentence()} has version ${version.toLong()}; this app reads version 1.", "Install a newer app.")
        if (version < 1) throw damage("version")
        return Fields("", text).contract()
    }

    private fun Fields.contract(): Contract {
        val image = fields("image").image()
        val labels = list("labels").map { it as? String ?: damaged("labels") }
        val (input, output) = fields("input").tensor() to fields("output").tensor()
        if (labels.size < 2 || labels.size != output.count) damaged("labels")
        if (input.shape != listOf(1, image.size, image.size, 3)) damaged("input.shape")
        if (text("output_is") != "logits") damaged("output_is")
        val golden = if ("golden" in this) list("golden").map { golden(it) } else emptyList()
        val network = if (has("flatbuffer")) fields("flatbuffer").network() else null
        val confidence = if (has("confidence")) fields("confidence").confidence() else null
        val minor = if ("minor" in this) whole("minor", 0..Int.MAX_VALUE) else 0
        return Contract(text("model"), image, labels, input, output, golden, network, flag("integers_inside"), confidence, minor)
    }

    private fun Fields.image() =
        Image(
            whole("size", 32..1024),
            one("resize", Image.Resize.entries),
            number("crop").takeIf { it > 0 && it <= 1 } ?: damaged("crop"),
            one("filter", Filter.entries),
            one("channels", Image.Channels.entries),
            three("mean"),
            three("std").onEach { if (it <= 0) damaged("std") },
        )

    private fun Fields.tensor(): Tensor {
        val shape = list("shape").map { side -> (side as? Double)?.takeIf { it % 1 == 0.0 && it in 1.0..MOST_VALUES }?.toInt() ?: damaged("shape") }
        if (shape.fold(1.0) { product, side -> product * side } > MOST_VALUES) damaged("shape")
        val (type, scale) = one("dtype", Tensor.Type.entries) to number("scale").toFloat()
        if ((type == Tensor.Type.FLOAT32) != (scale == 0f) || scale < 0) damaged("scale")
        return Tensor(shape, type, scale, whole("zero_point", type.least..type.most))
    }

    private fun Fields.network() = Contract.Network(whole("size_bytes", 8..Int.MAX_VALUE), text("sha256"))

    private fun Fields.confidence(): Confidence {
        if (text("score") != "energy") damaged("score")
        val temperature = number("temperature").also { if (it <= 0) damaged("temperature") }
        if ("threshold" !in this) damaged("threshold") // null: all pass
        return Confidence(temperature, if (has("threshold")) number("threshold") else null)
    }

    private fun golden(value: Any?): Golden {
        val one = Fields("golden.", value as? Map<*, *> ?: throw damage("golden"))
        val output = one.list("output").map { it as? Double ?: one.damaged("output") }
        return Golden(one.text("picture"), if (one.has("label")) one.text("label") else null, if (one.has("input_sha256")) one.text("input_sha256") else null, output.toDoubleArray())
    }

    private fun damage(place: String) = Problem("${sentence()} is damaged at $place.", "Export the model again, or copy it and the .json beside it again.")

    private fun sentence() = where.replaceFirstChar(Char::uppercase)

    /** An object of the contract, below [place]. */
    private inner class Fields(private val place: String, private val values: Map<*, *>) {
        operator fun contains(key: String) = key in values

        fun has(key: String) = values[key] != null

        fun damaged(key: String): Nothing = throw damage("$place$key")

        fun fields(key: String) = Fields("$place$key.", values[key] as? Map<*, *> ?: damaged(key))

        fun list(key: String) = values[key] as? List<*> ?: damaged(key)

        /** false where it is not given. */
        fun flag(key: String) = if (has(key)) values[key] as? Boolean ?: damaged(key) else false

        fun text(key: String) = values[key] as? String ?: damaged(key)

        fun number(key: String) = (values[key] as? Double)?.takeIf(Double::isFinite) ?: damaged(key)

        fun whole(key: String, range: IntRange) =
            number(key).takeIf { it % 1 == 0.0 && it >= range.first && it <= range.last }?.toInt() ?: damaged(key)

        fun <T : Enum<T>> one(key: String, known: List<T>): T = text(key).let { name -> known.find { it.name.equals(name, ignoreCase = true) } ?: damaged(key) }

        fun three(key: String) = list(key).map { (it as? Double)?.takeIf(Double::isFinite)?.toFloat() ?: damaged(key) }.also { if (it.size != 3) damaged(key) }
    }
}

/** Unlike String's own reading, refuses what is no UTF-8. */
private fun utf8(content: ByteArray) = Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(content)).toString()

private const val MOST_VALUES = 1e8 // of a tensor; 1024 x 1024 x 3 are 3e6
