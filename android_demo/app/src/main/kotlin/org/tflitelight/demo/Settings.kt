package org.tflitelight.demo

import android.content.Context
import android.content.SharedPreferences

/** What the app remembers. Small, and read before the first frame, so it is one file of preferences. */
class Settings(context: Context) {
    private val kept: SharedPreferences = context.getSharedPreferences("settings", Context.MODE_PRIVATE)

    /** [ModelFile.key] of the model in use; null: the first there is. */
    var model: String?
        get() = kept.getString("model", null)
        set(value) = kept.edit().putString("model", value).apply()

    /** Key of the accelerator asked for; null: Auto. */
    var accelerator: String?
        get() = kept.getString("accelerator", null)
        set(value) = kept.edit().putString("accelerator", value).apply()

    /** NNAPI is hidden where the system has deprecated it, unless it is asked for. */
    var showNnapi: Boolean
        get() = kept.getBoolean("show_nnapi", android.os.Build.VERSION.SDK_INT < 35)
        set(value) = kept.edit().putBoolean("show_nnapi", value).apply()

    /** What Auto has taken for a model (by its digest) on this phone and system version. */
    fun fastest(model: String): String? = kept.getString("auto:$model:${android.os.Build.FINGERPRINT}", null)

    fun keepFastest(model: String, accelerator: String) =
        kept.edit().putString("auto:$model:${android.os.Build.FINGERPRINT}", accelerator).apply()

    /**
     * What is being tried just now. It is written to the disk before the trial, as a driver that crashes takes the app
     * with it; whatever the next start finds here did.
     */
    @Suppress("ApplySharedPref")
    fun mark(trial: String?) {
        kept.edit().putString("trial", trial).commit()
    }

    fun marked(): String? = kept.getString("trial", null)

    /** Trials that crashed the app: they are repeated only by hand. */
    var crashed: Set<String>
        get() = kept.getStringSet("crashed", emptySet()).orEmpty()
        set(value) = kept.edit().putStringSet("crashed", value).apply()
}
