import com.android.apksig.ApkVerifier;
import java.io.File;

/** A line for each APK: what Android would make of its signature, by Android's own verifier. */
final class Verify {
    public static void main(String[] files) throws Exception {
        for (String file : files) {
            try {
                var found = new ApkVerifier.Builder(new File(file)).build().verify();
                System.out.printf(
                        "%b v2=%b v3=%b warnings=%d%n",
                        found.isVerified(),
                        found.isVerifiedUsingV2Scheme(),
                        found.isVerifiedUsingV3Scheme(),
                        found.getWarnings().size());
            } catch (Exception error) {
                System.out.println("false " + error.getClass().getSimpleName());
            }
        }
    }
}
