package dermpack.bundle;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads JSON into Map, List, String, Double, Boolean and null; refuses everything else. */
final class Json {
    private static final int MAX_DEPTH = 32;

    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /** The value of a whole document. */
    static Object read(String text) {
        Json json = new Json(text);
        Object value = json.value(0);
        json.space();
        if (json.at != text.length()) {
            throw json.broken("the end");
        }
        return value;
    }

    /** The object that the document is. */
    static Node object(String text) {
        return new Node("", read(text));
    }

    private Object value(int depth) {
        if (depth > MAX_DEPTH) {
            throw broken("less nesting");
        }
        space();
        char first = at < text.length() ? text.charAt(at) : ' ';
        switch (first) {
            case '{':
                return members(depth);
            case '[':
                return items(depth);
            case '"':
                return string();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private Map<String, Object> members(int depth) {
        Map<String, Object> members = new LinkedHashMap<String, Object>();
        at++;
        if (closes('}')) {
            return members;
        }
        do {
            space();
            String name = string();
            expect(':');
            if (members.put(name, value(depth + 1)) != null) {
                throw broken("each name once");
            }
        } while (follows('}'));
        return members;
    }

    private List<Object> items(int depth) {
        List<Object> items = new ArrayList<Object>();
        at++;
        if (closes(']')) {
            return items;
        }
        do {
            items.add(value(depth + 1));
        } while (follows(']'));
        return items;
    }

    private boolean closes(char end) {
        space();
        if (at < text.length() && text.charAt(at) == end) {
            at++;
            return true;
        }
        return false;
    }

    /** Whether a comma comes, and not the end. */
    private boolean follows(char end) {
        if (closes(end)) {
            return false;
        }
        expect(',');
        return true;
    }

    private void expect(char wanted) {
        if (!closes(wanted)) {
            throw broken("'" + wanted + "'");
        }
    }

    private String string() {
        if (at >= text.length() || text.charAt(at) != '"') {
            throw broken("text");
        }
        StringBuilder into = new StringBuilder();
        for (at++; at < text.length(); at++) {
            char next = text.charAt(at);
            if (next == '"') {
                at++;
                return into.toString();
            }
            into.append(next == '\\' ? escaped() : next);
        }
        throw broken("the end of a text");
    }

    private char escaped() {
        at++;
        char kind = at < text.length() ? text.charAt(at) : ' ';
        int plain = "\"\\/bfnrt".indexOf(kind);
        if (plain >= 0) {
            return "\"\\/\b\f\n\r\t".charAt(plain);
        }
        if (kind != 'u' || at + 4 >= text.length()) {
            throw broken("an escape");
        }
        at += 4;
        try {
            return (char) Integer.parseInt(text.substring(at - 3, at + 1), 16);
        } catch (NumberFormatException error) {
            throw broken("four digits");
        }
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) {
            throw broken(word);
        }
        at += word.length();
        return value;
    }

    private Double number() {
        int start = at;
        while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        try {
            return Double.valueOf(text.substring(start, at));
        } catch (NumberFormatException error) {
            at = start;
            throw broken("a value");
        }
    }

    private void space() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private IllegalArgumentException broken(String wanted) {
        return new IllegalArgumentException("JSON: at character " + at + ", not " + wanted);
    }

    /** A value and the place where it stands, for messages that name it. */
    static final class Node {
        private final String place;
        private final Object value;

        Node(String place, Object value) {
            this.place = place;
            this.value = value;
        }

        Node get(String name) {
            Object found = map().get(name);
            return new Node(place.isEmpty() ? name : place + "." + name, found);
        }

        boolean isNull() {
            return value == null;
        }

        String text() {
            return as(String.class, "text");
        }

        double number() {
            return as(Double.class, "a number").doubleValue();
        }

        int whole() {
            double number = number();
            if (number != Math.rint(number) || Math.abs(number) > Integer.MAX_VALUE) {
                throw new IllegalArgumentException(place + " is not a whole number");
            }
            return (int) number;
        }

        boolean flag() {
            return as(Boolean.class, "true or false").booleanValue();
        }

        List<Node> items() {
            List<Node> nodes = new ArrayList<Node>();
            for (Object item : as(List.class, "a list")) {
                nodes.add(new Node(place + "[" + nodes.size() + "]", item));
            }
            return nodes;
        }

        Map<String, Node> members() {
            Map<String, Node> nodes = new LinkedHashMap<String, Node>();
            for (String name : map().keySet()) {
                nodes.put(name, get(name));
            }
            return nodes;
        }

        @SuppressWarnings("unchecked") // what this class reads has texts for names
        private Map<String, Object> map() {
            return as(Map.class, "an object");
        }

        private <T> T as(Class<T> kind, String wanted) {
            if (!kind.isInstance(value)) {
                throw new IllegalArgumentException(place + " is not " + wanted);
            }
            return kind.cast(value);
        }
    }
}
