import com.android.apksig.ApkSigner;
import java.io.File;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.List;

/**
 * Signs an APK with the debug key, v2 and v3, and aligns what it stores: libraries to 16 KB, the rest to 4 bytes.
 *
 * <p>{@code java -cp apksig.jar Sign.java KEYSTORE IN.apk OUT.apk}. The key store is the one that Android Studio makes
 * and uses, with its well-known password, so that either build updates the other's installed app.
 */
final class Sign {
    private static final char[] PASSWORD = "android".toCharArray();
    private static final String ALIAS = "androiddebugkey";

    public static void main(String[] files) throws Exception {
        KeyStore keys = KeyStore.getInstance(new File(files[0]), PASSWORD);
        var signer =
                new ApkSigner.SignerConfig.Builder(
                                "debug",
                                (PrivateKey) keys.getKey(ALIAS, PASSWORD),
                                List.of((X509Certificate) keys.getCertificate(ALIAS)))
                        .build();
        new ApkSigner.Builder(List.of(signer))
                .setInputApk(new File(files[1]))
                .setOutputApk(new File(files[2]))
                .setV1SigningEnabled(false) // only Android 6 and older ask for it
                .setV2SigningEnabled(true)
                .setV3SigningEnabled(true)
                .setLibraryPageAlignmentBytes(16 << 10)
                .build()
                .sign();
    }
}
