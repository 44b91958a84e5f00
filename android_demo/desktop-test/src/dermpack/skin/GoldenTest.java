package dermpack.skin;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.io.IOException;
import java.util.List;
import org.junit.Test;

/** The bundle's own self-check, as the app's button runs it, on a desk. */
public final class GoldenTest {
    @Test
    public void everyGoldenPicturePassesOnEveryVariant() throws IOException {
        for (SkinClassifier.Variant variant : SkinClassifier.Variant.values()) {
            SkinClassifier classifier = SkinClassifier.open(Desk.context(), variant, 1);
            try {
                List<SelfCheck.Check> checks = classifier.selfCheck();
                assertTrue(checks.size() >= 2 * 8);
                for (SelfCheck.Check check : checks) {
                    assertTrue(variant + ": " + check, check.isPassed());
                }
            } finally {
                classifier.close();
            }
        }
    }

    @Test
    public void everyExactPictureBecomesTheSameBytesAndEveryAnswerToo() throws IOException {
        SkinClassifier classifier = SkinClassifier.open(Desk.context());
        int exact = 0;
        for (SelfCheck.Check check : classifier.selfCheck()) {
            boolean isPng = check.getName().contains(".png: pixels");
            if (isPng || !check.getName().endsWith(": pixels")) { // the answer and every other output
                assertTrue(check.toString(), check.getDetail().endsWith("same bytes"));
                exact += isPng ? 1 : 0;
            }
        }
        classifier.close();
        assertEquals(5, exact);
    }

    @Test
    public void timesAreMeasured() throws IOException {
        SkinClassifier classifier = SkinClassifier.open(Desk.context());
        assertTrue(classifier.medianInvokeMs(5) > 0);
        classifier.close();
    }
}
