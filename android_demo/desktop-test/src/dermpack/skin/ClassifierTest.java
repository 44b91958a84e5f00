package dermpack.skin;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import android.content.Context;
import android.content.res.AssetFileDescriptor;
import android.content.res.AssetManager;
import android.graphics.Bitmap;
import dermpack.mole.MoleClassifier;
import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.Test;
import org.tensorflow.lite.InterpreterApi;
import org.tensorflow.lite.InterpreterFactoryImpl;

/** What an app may do with the classifier besides the usual. */
public final class ClassifierTest {
    @Test
    public void theSelfCheckPassesWhileAnotherThreadClassifies() throws Exception {
        final SkinClassifier classifier = SkinClassifier.open(Desk.context());
        final byte[] picture = Desk.asset("golden/turned-6.jpg");
        final AtomicReference<Throwable> problem = new AtomicReference<Throwable>();
        Thread other = new Thread() {
            @Override
            public void run() {
                try {
                    while (!isInterrupted()) {
                        classifier.classify(picture);
                    }
                } catch (Exception error) {
                    problem.set(error);
                }
            }
        };
        other.start();
        for (int round = 0; round < 3; round++) {
            for (SelfCheck.Check check : classifier.selfCheck()) {
                assertTrue(check.toString(), check.isPassed());
            }
            assertTrue(classifier.medianInvokeMs(5) > 0);
        }
        other.interrupt();
        other.join();
        classifier.close();
        assertEquals(null, problem.get());
    }

    @Test
    public void aBuildWithoutGoldenVectorsSaysSo() throws Exception {
        Context release = new Context(new AssetManager(new File(System.getProperty("release.assets"))));
        SkinClassifier classifier = SkinClassifier.open(release);
        try {
            classifier.selfCheck();
            fail("a release contains no golden vectors");
        } catch (FileNotFoundException error) {
            assertTrue(error.getMessage(), error.getMessage().contains("no golden vectors"));
        } finally {
            classifier.close();
        }
    }

    @Test
    public void whatIsNullIsNamed() throws Exception {
        SkinClassifier classifier = SkinClassifier.open(Desk.context());
        String[] names = {"file", "file", "bitmap", "options", "context"};
        for (int i = 0; i < names.length; i++) {
            try {
                switch (i) {
                    case 0:
                        classifier.classify((byte[]) null);
                        break;
                    case 1:
                        classifier.classify((InputStream) null);
                        break;
                    case 2:
                        classifier.classify((Bitmap) null);
                        break;
                    case 3:
                        SkinClassifier.openAccelerated(Desk.context(), SkinClassifier.Variant.values()[0], null);
                        break;
                    default:
                        SkinClassifier.open(null);
                }
                fail(names[i]);
            } catch (IllegalArgumentException error) {
                assertEquals(names[i] + " is null", error.getMessage());
            }
        }
        classifier.close();
    }

    @Test
    public void twoBundlesWorkInOneApp() throws Exception {
        byte[] picture = Desk.asset("golden/turned-6.jpg");
        SkinClassifier skin = SkinClassifier.open(Desk.context());
        MoleClassifier mole = MoleClassifier.open(Desk.context());
        assertEquals(skin.classify(picture).toString(), mole.classify(picture).toString());
        for (dermpack.mole.SelfCheck.Check check : mole.selfCheck()) {
            assertTrue(check.toString(), check.isPassed());
        }
        skin.close();
        assertFalse(mole.classify(picture).getScores().isEmpty());
        mole.close();
    }

    @Test
    public void noModelStaysOpenIfAFileCannotBeReadForTheAccelerator() throws Exception {
        AssetManager failing = new AssetManager(new File(System.getProperty("bundle.assets"))) {
            private int opened;

            @Override
            public AssetFileDescriptor openFd(String name) throws IOException {
                if (++opened == 2) { // the first one is for the CPU
                    throw new IOException("the storage is gone");
                }
                return super.openFd(name);
            }
        };
        int before = InterpreterFactoryImpl.countOpen();
        SkinClassifier.Variant variant = SkinClassifier.Variant.values()[0];
        try {
            SkinClassifier.openAccelerated(new Context(failing), variant, new InterpreterApi.Options());
            fail("the file cannot be read");
        } catch (IOException error) {
            assertEquals("the storage is gone", error.getMessage());
        }
        assertEquals(before, InterpreterFactoryImpl.countOpen());
    }

    @Test
    public void answersAreEqualIfTheirNumbersAre() throws Exception {
        SkinClassifier classifier = SkinClassifier.open(Desk.context());
        byte[] picture = Desk.asset("golden/turned-6.jpg");
        Result result = classifier.classify(picture);
        assertEquals(result, classifier.classify(picture));
        assertNotEquals(result, classifier.classify(Desk.asset("golden/square.png")));
        assertEquals(result.getRefusal() == null ? result.getTop() : null, result.getAnswerOrNull());
        classifier.close();
    }
}
