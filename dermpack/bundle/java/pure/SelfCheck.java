package dermpack.bundle;

import java.io.IOException;
import java.nio.charset.Charset;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** Runs the golden vectors: whether this very device sees what Python saw, and answers what Python answered. */
public final class SelfCheck {
    private static final String FOLDER = "golden/";
    private static final Charset UTF_8 = Charset.forName("UTF-8");

    private final PictureClassifier classifier;
    private final FileSource files;
    private final Decoder decoder;
    private final double mostLevelsApart;
    private final double mostApart;
    private final String variant;

    private SelfCheck(PictureClassifier classifier, FileSource files, Decoder decoder, Json.Node golden) {
        this.classifier = classifier;
        this.files = files;
        this.decoder = decoder;
        this.variant = classifier.getContract().getRecipe();
        this.mostLevelsApart = golden.get("most_levels_apart").number();
        this.mostApart = golden.get("variants").get(variant).get("most_apart").number();
    }

    /** All checks, the failed ones among them; an IOException only where the golden files are not there. */
    public static List<Check> run(PictureClassifier classifier, FileSource files, Decoder decoder)
            throws IOException {
        Json.Node golden = Json.object(new String(files.read(FOLDER + "golden.json"), UTF_8));
        SelfCheck check = new SelfCheck(classifier, files, decoder, golden);
        List<Check> checks = new ArrayList<Check>();
        for (Json.Node vector : golden.get("vectors").items()) {
            checks.add(check.pixels(vector));
            checks.add(check.answer(vector));
            for (String output : vector.get("expected").get(check.variant).get("more").members().keySet()) {
                checks.add(check.output(vector, output));
            }
        }
        return checks;
    }

    /** Whether the file becomes the pixels that it becomes in Python. */
    private Check pixels(Json.Node vector) throws IOException {
        String name = vector.get("picture").text();
        byte[] wanted = file(vector.get("pixels"), vector.get("pixels_sha256"));
        byte[] picture = file(vector.get("picture"), vector.get("picture_sha256"));
        byte[] found;
        try {
            Raster raster = decoder.decode(picture, classifier.getContract().getSize());
            found = classifier.prepare(raster, Exif.orientation(picture));
        } catch (IOException error) {
            return new Check(name + ": pixels", false, "cannot be decoded: " + error.getMessage());
        }
        double apart = levelsApart(wanted, found);
        boolean isExact = vector.get("is_exact").flag();
        boolean isWell = isExact ? Arrays.equals(wanted, found) : apart <= mostLevelsApart && isLabel(vector, found);
        return new Check(name + ": pixels", isWell, apart == 0 ? "same bytes" : said("%.2f levels apart", apart));
    }

    /** Whether pixels that another decoder made are called as Python's were. */
    private boolean isLabel(Json.Node vector, byte[] pixels) {
        Json.Node expected = vector.get("expected").get(variant);
        classifier.feed(pixels);
        classifier.invoke();
        return isLabel(expected, classifier.result(new Timing(0, 0, 0)).getTop().getLabel());
    }

    private static boolean isLabel(Json.Node expected, String label) {
        return label.equals(expected.get("label").text()) || expected.get("is_close").flag();
    }

    /** Whether Python's pixels give Python's answer on this engine. */
    private Check answer(Json.Node vector) throws IOException {
        String name = vector.get("picture").text() + ": answer";
        Json.Node expected = vector.get("expected").get(variant);
        classifier.feed(file(vector.get("pixels"), vector.get("pixels_sha256")));
        if (!sha256(classifier.fed()).equals(expected.get("fed_sha256").text())) {
            return new Check(name, false, "other bytes go in than in Python");
        }
        classifier.invoke();
        double apart = apart(expected.get("probabilities").items(), classifier.probabilities());
        String label = classifier.result(new Timing(0, 0, 0)).getTop().getLabel();
        boolean isSame = Arrays.equals(classifier.answered(), file(expected.get("output"), expected.get("output_sha256")));
        boolean isLabel = isLabel(expected, label);
        String detail = isSame ? "same bytes" : said("%.4f apart", apart) + (isLabel ? "" : ", another label");
        return new Check(name, isLabel && apart <= mostApart, label + ", " + detail);
    }

    /** Whether another output than the probabilities gives Python's numbers, on other kernels nearly. */
    private Check output(Json.Node vector, String output) throws IOException {
        String name = vector.get("picture").text() + ": " + output;
        Json.Node expected = vector.get("expected").get(variant).get("more").get(output);
        byte[] wanted = file(expected.get("output"), expected.get("output_sha256"));
        byte[] answered = classifier.answered(output);
        if (Arrays.equals(answered, wanted)) {
            return new Check(name, true, "same bytes");
        }
        double[] found = classifier.real(output);
        double[] real = classifier.getContract().getOutputs().get(output).real(Tensor.direct(wanted));
        double apart = 0;
        for (int i = 0; i < real.length; i++) {
            apart += Math.abs(real[i] - found[i]) / real.length;
        }
        return new Check(name, apart <= expected.get("most_mean_apart").number(), said("%.4f apart", apart));
    }

    private byte[] file(Json.Node name, Json.Node sha256) throws IOException {
        byte[] data = files.read(FOLDER + name.text());
        if (!sha256(data).equals(sha256.text())) {
            throw new IOException(name.text() + ": is not the file of this bundle");
        }
        return data;
    }

    private static double levelsApart(byte[] wanted, byte[] found) {
        if (wanted.length != found.length) {
            return 255;
        }
        long sum = 0;
        for (int i = 0; i < wanted.length; i++) {
            sum += Math.abs((wanted[i] & 255) - (found[i] & 255));
        }
        return (double) sum / wanted.length;
    }

    private static double apart(List<Json.Node> wanted, double[] found) {
        double most = wanted.size() == found.length ? 0 : 1;
        for (int i = 0; i < found.length && most < 1; i++) {
            most = Math.max(most, Math.abs(wanted.get(i).number() - found[i]));
        }
        return most;
    }

    private static String said(String format, double value) {
        return String.format(Locale.ROOT, format, value);
    }

    private static String sha256(byte[] data) {
        try {
            StringBuilder digits = new StringBuilder();
            for (byte part : MessageDigest.getInstance("SHA-256").digest(data)) {
                digits.append(String.format(Locale.ROOT, "%02x", part));
            }
            return digits.toString();
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error); // every Java and every Android has it
        }
    }

    /** One thing that was checked. */
    public static final class Check {
        private final String name;
        private final boolean isPassed;
        private final String detail;

        Check(String name, boolean isPassed, String detail) {
            this.name = name;
            this.isPassed = isPassed;
            this.detail = detail;
        }

        public String getName() {
            return name;
        }

        public boolean isPassed() {
            return isPassed;
        }

        public String getDetail() {
            return detail;
        }

        @Override
        public String toString() {
            return (isPassed ? "PASS " : "FAIL ") + name + " (" + detail + ")";
        }
    }
}
