import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** One request with java.net.http: Get URL */
public class Get {
    public static void main(String[] words) throws Exception {
        HttpResponse<String> answer = HttpClient.newHttpClient().send(
            HttpRequest.newBuilder(URI.create(words[0])).build(), HttpResponse.BodyHandlers.ofString());
        System.out.println("http=" + (answer.version() == HttpClient.Version.HTTP_2 ? "2 " : "1.1 ") + answer.body());
        System.exit(answer.statusCode() == 200 ? 0 : 1);
    }
}
