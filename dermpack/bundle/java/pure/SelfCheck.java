package dermpack.bundle;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.Charset;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Runs the golden vectors: checks that this device prepares the pixels and gives the answers of Python. */
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

    /** All checks, passed and failed; throws a FileNotFoundException if this build contains no golden vectors. */
    static List<Check> run(PictureClassifier classifier, FileSource files, Decoder decoder) throws IOException {
        Json.Node golden = Json.object(new String(record(files), UTF_8));
        SelfCheck check = new SelfCheck(classifier, files, decoder, golden);
        List<Check> checks = new ArrayList<Check>();
        for (Json.Node vector : golden.get("vectors").items()) {
            checks.add(check.pixels(vector));
            checks.addAll(check.answers(vector));
        }
        return checks;
    }

    private static byte[] record(FileSource files) throws IOException {
        try {
            return files.read(FOLDER + "golden.json");
        } catch (FileNotFoundException error) {
            throw new FileNotFoundException("this build contains no golden vectors; a debug build contains them,"
                    + " or every build if the bundle was packaged with --golden-in main");
        }
    }

    /** Checks that the file is prepared to the pixels of Python. */
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
        return new Check(name + ": pixels", isWell, apart == 0 ? "same bytes" : format("%.2f levels apart", apart));
    }

    /** Whether the pixels of another decoder get the label of Python. */
    private boolean isLabel(Json.Node vector, byte[] pixels) {
        Json.Node expected = vector.get("expected").get(variant);
        synchronized (classifier) { // another thread may classify between the steps
            classifier.feed(pixels, known(vector));
            classifier.invoke();
            return isLabel(expected, label());
        }
    }

    private static boolean isLabel(Json.Node expected, String label) {
        return label.equals(expected.get("label").text()) || expected.get("is_close").flag();
    }

    /** Checks that the pixels of Python give the answer of Python on this engine. */
    private List<Check> answers(Json.Node vector) throws IOException {
        String name = vector.get("picture").text() + ": answer";
        Json.Node expected = vector.get("expected").get(variant);
        byte[] pixels = file(vector.get("pixels"), vector.get("pixels_sha256"));
        byte[] output = file(expected.get("output"), expected.get("output_sha256"));
        Map<String, Json.Node> more = expected.get("more").members();
        Map<String, byte[]> others = new LinkedHashMap<String, byte[]>();
        for (Map.Entry<String, Json.Node> other : more.entrySet()) {
            Json.Node of = other.getValue();
            others.put(other.getKey(), file(of.get("output"), of.get("output_sha256")));
        }
        List<Check> checks = new ArrayList<Check>();
        synchronized (classifier) { // all outputs are of one answer
            checks.add(answer(name, expected, pixels, known(vector), output));
            for (Map.Entry<String, byte[]> other : others.entrySet()) {
                String about = vector.get("picture").text() + ": " + other.getKey();
                double most = more.get(other.getKey()).get("most_mean_apart").number();
                checks.add(output(about, other.getKey(), other.getValue(), most));
            }
        }
        return checks;
    }

    private Check answer(String name, Json.Node expected, byte[] pixels, Metadata known, byte[] output) {
        classifier.feed(pixels, known);
        byte[] metadata = classifier.fedMetadata();
        String fedMetadata = metadata == null ? "" : sha256(metadata);
        if (!sha256(classifier.fed()).equals(expected.get("fed_sha256").text())
                || !fedMetadata.equals(expected.get("fed_metadata_sha256").text())) {
            return new Check(name, false, "the bytes of an input differ from those of Python");
        }
        classifier.invoke();
        double apart = apart(expected.get("probabilities").items(), classifier.probabilities());
        String label = label();
        boolean isSame = Arrays.equals(classifier.answered(), output);
        boolean isLabel = isLabel(expected, label);
        String detail = isSame ? "same bytes" : format("%.4f apart", apart) + (isLabel ? "" : ", another label");
        return new Check(name, isLabel && apart <= mostApart, label + ", " + detail);
    }

    private String label() {
        return classifier.result(new byte[0], new Timing(0, 0, 0)).getTop().getLabel();
    }

    /** What is known about the patient of a golden picture. */
    private Metadata known(Json.Node vector) {
        Metadata known = Metadata.blank();
        Json.Node values = vector.get("metadata");
        for (MetadataColumn column : classifier.getContract().getMetadataColumns()) {
            String name = column.getName();
            if (values.members().containsKey(name)) {
                String value = values.get(name).text();
                known = column.isNumeric() ? known.with(name, Double.parseDouble(value)) : known.with(name, value);
            }
        }
        return known;
    }

    /** Checks another output than the probabilities: equal to Python, or close on other kernels. */
    private Check output(String name, String output, byte[] wanted, double most) {
        if (Arrays.equals(classifier.answered(output), wanted)) {
            return new Check(name, true, "same bytes");
        }
        double[] found = classifier.real(output);
        double[] real = classifier.getContract().getOutputs().get(output).real(Tensor.direct(wanted));
        double apart = 0;
        for (int i = 0; i < real.length; i++) {
            apart += Math.abs(real[i] - found[i]) / real.length;
        }
        return new Check(name, apart <= most, format("%.4f apart", apart));
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

    private static String format(String format, double value) {
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
