package dermpack.bundle;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The content of model.json: the inputs, the outputs, and what was measured. */
public final class Contract {
    private static final int SCHEMA = 2;
    private static final int FIRST_SCHEMA = 1; // one input and one output, which had no names
    private static final int CHANNELS = 3;

    private final String name;
    private final String version;
    private final String recipe;
    private final String license;
    private final String intendedUse;
    private final List<String> labels;
    private final Map<String, Tensor> inputs;
    private final Map<String, Tensor> outputs;
    private final Tensor input;
    private final Tensor output;
    private final boolean isNamed;
    private final @Nullable String evidence; // the name of the output, or null
    private final int[] evidenceShape;
    private final Policy policy;
    private final double[] mean;
    private final double[] std;
    private final boolean isBgr;
    private final boolean isChannelsFirst;
    private final int size;
    private final boolean isSigmoid;
    private final boolean isApplied;
    private final double temperature;
    private final double floor;
    private final double abstainBelow;
    private final Map<String, Double> thresholds;
    private final Map<String, String> meanings;
    private final @Nullable String metadataInput; // null without one
    private final List<MetadataColumn> metadataColumns;
    private final @Nullable String familiarityName;
    private final double unlikeAbove;
    private final Quality.@Nullable Gates gates;

    private Contract(Json.Node root) {
        int schema = root.get("schema").whole();
        if (schema != SCHEMA && schema != FIRST_SCHEMA) {
            throw new IllegalArgumentException("schema is not " + SCHEMA);
        }
        boolean isFirst = schema == FIRST_SCHEMA;
        name = root.get("name").text();
        version = root.get("version").text();
        recipe = root.get("recipe").get("name").text();
        license = root.get("license").text();
        intendedUse = root.get("intended_use").text();
        labels = texts(root.get("labels"));
        Json.Node in = isFirst ? root.get("input") : named(root.get("inputs"), "picture");
        Json.Node out = isFirst ? root.get("output") : named(root.get("outputs"), "probabilities");
        size = in.get("width").whole();
        policy = Policy.named(in.get("policy").text());
        mean = isFirst ? each(in.get("mean").number()) : numbers(in.get("mean"));
        std = isFirst ? each(in.get("std").number()) : numbers(in.get("std"));
        isBgr = !isFirst && in.get("color").text().equals("BGR");
        isChannelsFirst = !isFirst && in.get("layout").text().equals("NCHW");
        isSigmoid = out.get("activation").text().equals("sigmoid");
        isApplied = isFirst || out.get("applied").flag();
        isNamed = !isFirst && !root.get("signature").isNull();
        if (isFirst) {
            inputs = Collections.singletonMap("picture", tensor("picture", in, size * size * CHANNELS));
            int numbers = isSigmoid ? 1 : labels.size();
            outputs = Collections.singletonMap("probabilities", tensor("probabilities", out, numbers));
        } else {
            inputs = tensors(root.get("inputs"));
            outputs = tensors(root.get("outputs"));
        }
        evidence = isFirst ? null : findName(root.get("outputs"), "evidence");
        evidenceShape = evidence == null ? new int[0] : shape(root.get("outputs").get(evidence));
        input = inputs.get(isFirst ? "picture" : nameOf(root.get("inputs"), "picture"));
        output = outputs.get(isFirst ? "probabilities" : nameOf(root.get("outputs"), "probabilities"));
        Json.Node soft = out.get("temperature");
        temperature = soft.isNull() ? 1.0 : soft.get("value").number();
        floor = soft.isNull() ? 0.0 : soft.get("floor").number();
        Json.Node abstention = root.get("abstention");
        abstainBelow = abstention.isNull() ? 0.0 : abstention.get("threshold").number();
        thresholds = thresholds(root.get("thresholds"));
        meanings = meanings(root);
        metadataInput = isFirst ? null : findName(root.get("inputs"), "metadata");
        List<MetadataColumn> columns = new ArrayList<MetadataColumn>();
        if (metadataInput != null) {
            for (Json.Node column : root.get("inputs").get(metadataInput).get("columns").items()) {
                columns.add(new MetadataColumn(column));
            }
        }
        metadataColumns = Collections.unmodifiableList(columns);
        familiarityName = isFirst ? null : findName(root.get("outputs"), "familiarity");
        Json.Node familiarity = familiarityName == null ? null : root.get("outputs").get(familiarityName);
        unlikeAbove = familiarity == null ? Double.POSITIVE_INFINITY : familiarity.get("threshold").number();
        gates = isFirst || root.get("quality").isNull() ? null : gates(root.get("quality"));
    }

    /** The contract in the text of model.json; an IllegalArgumentException names what is wrong. */
    static Contract read(String json) {
        return new Contract(Json.object(json));
    }

    public String getName() {
        return name;
    }

    public String getVersion() {
        return version;
    }

    /** How the file was made: int8, float16 … */
    public String getRecipe() {
        return recipe;
    }

    /** The licence of the model and who owns the pictures, for an About screen. */
    public String getLicense() {
        return license;
    }

    public String getIntendedUse() {
        return intendedUse;
    }

    /** In the order of the outputs. */
    public List<String> getLabels() {
        return labels;
    }

    /** The meaning of a label, in words for people; the label itself if the contract does not describe it. */
    public String getMeaning(String label) {
        String meaning = meanings.get(label);
        return meaning == null ? label : meaning;
    }

    /** Labels that must not be missed: those with a threshold of their own. */
    public List<String> getLabelsNotToMiss() {
        return Collections.unmodifiableList(new ArrayList<String>(thresholds.keySet()));
    }

    /** Pixels of a side of the square that goes in. */
    public int getSize() {
        return size;
    }

    /** The input for the picture. */
    Tensor getInput() {
        return input;
    }

    /** The output with the probabilities. */
    Tensor getOutput() {
        return output;
    }

    /** All inputs by name. */
    Map<String, Tensor> getInputs() {
        return inputs;
    }

    /** All outputs by name. */
    Map<String, Tensor> getOutputs() {
        return outputs;
    }

    /** Whether the model returns where its answer comes from. */
    public boolean hasEvidence() {
        return evidence != null;
    }

    /** The map in the real values of its output, [1, height, width, labels]. */
    EvidenceMap evidenceMap(double[] real) {
        return new EvidenceMap(evidenceShape[1], evidenceShape[2], evidenceShape[3], real);
    }

    /** The name of the output with the map, or null. */
    @Nullable String evidenceName() {
        return evidence;
    }

    /** Whether the tensors of the file have these names; else it has one input and one output. */
    boolean isNamed() {
        return isNamed;
    }

    Policy policy() {
        return policy;
    }

    double[] mean() {
        return mean;
    }

    double[] std() {
        return std;
    }

    /** The samples of an RGB picture, given row by row, in the order of the input. */
    byte[] arranged(byte[] pixels) {
        if (!isBgr && !isChannelsFirst) {
            return pixels;
        }
        byte[] arranged = new byte[pixels.length];
        int places = pixels.length / CHANNELS;
        for (int place = 0; place < places; place++) {
            for (int channel = 0; channel < CHANNELS; channel++) {
                int into = isChannelsFirst ? channel * places + place : place * CHANNELS + channel;
                arranged[into] = pixels[place * CHANNELS + (isBgr ? CHANNELS - 1 - channel : channel)];
            }
        }
        return arranged;
    }

    /** Whether all samples of one channel come before those of the next one. */
    boolean isChannelsFirst() {
        return isChannelsFirst;
    }

    boolean isApplied() {
        return isApplied;
    }

    boolean isSigmoid() {
        return isSigmoid;
    }

    double temperature() {
        return temperature;
    }

    double floor() {
        return floor;
    }

    /** Below this confidence the answer is "not sure"; 0 where the model always answers. */
    public double getAbstainBelow() {
        return abstainBelow;
    }

    /** The probability from which on each of these labels is called, whatever label is first. */
    public Map<String, Double> getThresholds() {
        return thresholds;
    }

    /** The fields of the patient metadata, in the order of the input; empty if the model takes none. */
    public List<MetadataColumn> getMetadataColumns() {
        return metadataColumns;
    }

    /** The input for the patient metadata, or null. */
    @Nullable Tensor metadataInput() {
        return metadataInput == null ? null : inputs.get(metadataInput);
    }

    /** A picture with a greater distance is unlike the training pictures; infinite if no distance is measured. */
    public double getUnlikeAbove() {
        return unlikeAbove;
    }

    /** The output with the distance to the training pictures; null if the file has none. */
    @Nullable String familiarityName() {
        return familiarityName;
    }

    /** Limits on the prepared picture; null if the contract has none. */
    Quality.@Nullable Gates gates() {
        return gates;
    }

    /** Throws an IllegalArgumentException for the labels.txt of another model. */
    void checkLabels(String labelsText) {
        List<String> lines = Arrays.asList(labelsText.split("\n"));
        if (!lines.equals(labels)) {
            throw new IllegalArgumentException(
                    "labels.txt: its " + lines.size() + " labels are not those of model.json");
        }
    }

    /** The name of the tensor with the role, or null. */
    private static @Nullable String findName(Json.Node tensors, String role) {
        for (String name : tensors.members().keySet()) {
            if (tensors.get(name).get("role").text().equals(role)) {
                return name;
            }
        }
        return null;
    }

    private static Quality.Gates gates(Json.Node of) {
        return new Quality.Gates(
                of.get("least_sharpness").whole(),
                of.get("least_brightness").whole(),
                of.get("most_white_percent").whole());
    }

    private static String nameOf(Json.Node tensors, String role) {
        String name = findName(tensors, role);
        if (name == null) {
            throw new IllegalArgumentException("no tensor has the role " + role);
        }
        return name;
    }

    private static int[] shape(Json.Node tensor) {
        double[] sides = numbers(tensor.get("shape"));
        int[] shape = new int[sides.length];
        for (int i = 0; i < shape.length; i++) {
            shape[i] = (int) sides[i];
        }
        return shape;
    }

    private static Json.Node named(Json.Node tensors, String role) {
        return tensors.get(nameOf(tensors, role));
    }

    private static Map<String, Tensor> tensors(Json.Node all) {
        Map<String, Tensor> tensors = new LinkedHashMap<String, Tensor>();
        for (String name : all.members().keySet()) {
            int numbers = 1;
            for (int side : shape(all.get(name))) {
                numbers *= side;
            }
            tensors.put(name, tensor(name, all.get(name), numbers));
        }
        return Collections.unmodifiableMap(tensors);
    }

    private static double[] each(double value) {
        double[] values = new double[CHANNELS];
        Arrays.fill(values, value);
        return values;
    }

    private static double[] numbers(Json.Node list) {
        double[] values = new double[list.items().size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = list.items().get(i).number();
        }
        return values;
    }

    private static Tensor tensor(String what, Json.Node of, int numbers) {
        Json.Node scale = of.get("scale");
        boolean isQuantized = !scale.isNull();
        return new Tensor(
                what,
                NumberType.named(of.get("dtype").text()),
                numbers,
                isQuantized ? scale.number() : 0.0,
                isQuantized ? of.get("zero_point").whole() : 0);
    }

    private static List<String> texts(Json.Node list) {
        List<String> texts = new ArrayList<String>();
        for (Json.Node item : list.items()) {
            texts.add(item.text());
        }
        return Collections.unmodifiableList(texts);
    }

    /** The meanings of the labels; empty for a contract of dermpack 0.1. */
    private static Map<String, String> meanings(Json.Node root) {
        Map<String, String> found = new LinkedHashMap<String, String>();
        if (root.members().containsKey("meanings")) {
            Json.Node meanings = root.get("meanings");
            for (String label : meanings.members().keySet()) {
                found.put(label, meanings.get(label).text());
            }
        }
        return Collections.unmodifiableMap(found);
    }

    private static Map<String, Double> thresholds(Json.Node list) {
        Map<String, Double> found = new LinkedHashMap<String, Double>();
        for (Json.Node point : list.items()) {
            found.put(point.get("label").text(), point.get("threshold").number());
        }
        return Collections.unmodifiableMap(found);
    }
}
