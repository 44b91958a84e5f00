// Must not compile: the annotations say that there may be no answer, and that a picture is needed.
import dermpack.skin.Result
import dermpack.skin.SkinClassifier

fun answer(result: Result): String = result.answerOrNull.label

fun nothing(classifier: SkinClassifier): Result = classifier.classify(null as ByteArray?)
