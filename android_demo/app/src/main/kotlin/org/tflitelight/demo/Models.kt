package org.tflitelight.demo

import android.content.Context
import android.net.Uri
import android.provider.OpenableColumns
import java.io.DataInputStream
import java.io.EOFException
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream
import org.tflitelight.demo.core.requireModel

/** Where a model's file lies. */
enum class Origin(val title: Int) {
    BUNDLED(R.string.model_bundled),
    PUSHED(R.string.model_pushed),
    OPENED(R.string.model_opened),
}

/** A `.tflite` file that the app knows; [open] gives what lies in its folder, by path. Reading may throw IOException. */
class ModelFile(val origin: Origin, val name: String, private val open: (String) -> InputStream) {
    val key = "$origin/$name"

    fun bytes(): ByteArray = open("$name.tflite").use { it.readBytes() }

    /** The contract that lies beside the file. */
    fun beside(): ByteArray? = lying("$name.json")

    /** A golden picture's file; files may travel without theirs. */
    fun lying(path: String): ByteArray? =
        try {
            open(path).use { it.readBytes() }
        } catch (_: FileNotFoundException) {
            null
        }
}

/** The models in the app, in the folder that `adb push` reaches, and opened from other apps. */
class Models(private val context: Context) {
    private val opened = File(context.filesDir, FOLDER)
    private val pushed get() = context.getExternalFilesDir(null)?.let { File(it, FOLDER) }

    fun all(): List<ModelFile> =
        bundled() + of(Origin.PUSHED, pushed) + of(Origin.OPENED, opened)

    fun find(key: String?): ModelFile? = all().let { known -> known.find { it.key == key } ?: known.firstOrNull() }

    /**
     * Copies what another app has opened, so that it is there the next time too; throws IOException, or Problem where it is
     * no model, before it is copied: it may be a film.
     */
    fun add(uri: Uri): ModelFile {
        val name = nameOf(uri)
        val part = File(opened.apply { mkdirs() }, "$name.part")
        try {
            context.read(uri) { from ->
                val begins = ByteArray(8)
                val there = try {
                    DataInputStream(from).readFully(begins)
                    true
                } catch (_: EOFException) {
                    false
                }
                requireModel(name, if (there) begins else ByteArray(0))
                part.outputStream().use { to ->
                    to.write(begins)
                    from.copyTo(to)
                }
            }
            if (!part.renameTo(File(opened, "$name$SUFFIX"))) throw IOException("$part cannot be renamed")
        } finally {
            part.delete()
        }
        return of(Origin.OPENED, opened).first { it.name == name }
    }

    /** Forgets a file that [add] has copied. */
    fun remove(model: ModelFile) {
        require(model.origin == Origin.OPENED)
        File(opened, "${model.name}$SUFFIX").delete()
    }

    private fun bundled(): List<ModelFile> =
        names(context.assets.list(FOLDER)).map { ModelFile(Origin.BUNDLED, it) { path -> context.assets.open("$FOLDER/$path") } }

    private fun of(origin: Origin, folder: File?): List<ModelFile> =
        names(folder?.list()).map { ModelFile(origin, it) { path -> inside(folder!!, path).inputStream() } }

    private fun names(files: Array<String>?): List<String> =
        files.orEmpty().filter { it.endsWith(SUFFIX) }.map { it.removeSuffix(SUFFIX) }.sorted()

    /** A contract comes from outside: its paths lead nowhere else. */
    private fun inside(folder: File, path: String): File =
        File(folder, path).also {
            if (!it.canonicalPath.startsWith(folder.canonicalPath + File.separator)) throw FileNotFoundException(path)
        }

    private fun nameOf(uri: Uri): String {
        val columns = arrayOf(OpenableColumns.DISPLAY_NAME)
        val shown =
            try {
                context.contentResolver.query(uri, columns, null, null, null)?.use { if (it.moveToFirst()) it.getString(0) else null }
            } catch (_: RuntimeException) { // one that tells no names may have the file all the same
                null
            }
        val name = (shown ?: uri.lastPathSegment ?: "model").substringAfterLast('/').removeSuffix(SUFFIX)
        return name.replace(Regex("[^\\w .-]"), "_").trim('.').ifEmpty { "model" }
    }
}

/**
 * Hands [take] the content that another app offers; throws IOException where it does not give it. What goes wrong in that
 * app Android throws here: SecurityException, IllegalArgumentException, IllegalStateException and others.
 */
fun <T> Context.read(uri: Uri, take: (InputStream) -> T): T {
    val content =
        try {
            contentResolver.openInputStream(uri)
        } catch (error: RuntimeException) {
            throw IOException(error)
        }
    return (content ?: throw FileNotFoundException("$uri has no content")).use(take)
}

private const val FOLDER = "models"
private const val SUFFIX = ".tflite"
