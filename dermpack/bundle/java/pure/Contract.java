package dermpack.bundle;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What model.json says: what to feed, what comes out, and how far it can be believed. */
public final class Contract {
    private static final int SCHEMA = 1;

    private final String name;
    private final String version;
    private final String recipe;
    private final String license;
    private final String intendedUse;
    private final List<String> labels;
    private final Tensor input;
    private final Tensor output;
    private final Policy policy;
    private final double mean;
    private final double std;
    private final int size;
    private final boolean isSigmoid;
    private final double temperature;
    private final double floor;
    private final double abstainBelow;
    private final Map<String, Double> thresholds;

    private Contract(Json.Node root) {
        if (root.get("schema").whole() != SCHEMA) {
            throw new IllegalArgumentException("schema is not " + SCHEMA);
        }
        name = root.get("name").text();
        version = root.get("version").text();
        recipe = root.get("recipe").get("name").text();
        license = root.get("license").text();
        intendedUse = root.get("intended_use").text();
        labels = texts(root.get("labels"));
        Json.Node in = root.get("input");
        Json.Node out = root.get("output");
        size = in.get("width").whole();
        policy = Policy.named(in.get("policy").text());
        mean = in.get("mean").number();
        std = in.get("std").number();
        isSigmoid = out.get("activation").text().equals("sigmoid");
        input = tensor("input", in, size * size * 3);
        output = tensor("output", out, isSigmoid ? 1 : labels.size());
        Json.Node soft = out.get("temperature");
        temperature = soft.isNull() ? 1.0 : soft.get("value").number();
        floor = soft.isNull() ? 0.0 : soft.get("floor").number();
        Json.Node abstention = root.get("abstention");
        abstainBelow = abstention.isNull() ? 0.0 : abstention.get("threshold").number();
        thresholds = thresholds(root.get("thresholds"));
    }

    /** The contract that the text of model.json holds; an IllegalArgumentException names what is wrong. */
    public static Contract read(String json) {
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

    /** Pixels of a side of the square that goes in. */
    public int getSize() {
        return size;
    }

    public Tensor getInput() {
        return input;
    }

    public Tensor getOutput() {
        return output;
    }

    Policy policy() {
        return policy;
    }

    double mean() {
        return mean;
    }

    double std() {
        return std;
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

    /** A picture may be called by these labels from these probabilities on, whatever label is first. */
    public Map<String, Double> getThresholds() {
        return thresholds;
    }

    /** Refuses a labels.txt that is another model's. */
    public void checkLabels(String labelsText) {
        List<String> lines = Arrays.asList(labelsText.split("\n"));
        if (!lines.equals(labels)) {
            throw new IllegalArgumentException(
                    "labels.txt: holds " + lines.size() + " labels that are not those of model.json");
        }
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

    private static Map<String, Double> thresholds(Json.Node list) {
        Map<String, Double> found = new LinkedHashMap<String, Double>();
        for (Json.Node point : list.items()) {
            found.put(point.get("label").text(), point.get("threshold").number());
        }
        return Collections.unmodifiableMap(found);
    }
}
