import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** One request with what is named: Get client|connection URL */
public class Get {
    public static void main(String[] words) throws Exception {
        URI uri = URI.create(words[1]);
        if (words[0].equals("client")) {
            HttpResponse<String> answer = HttpClient.newHttpClient().send(
                HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString());
            System.out.println("http=" + (answer.version() == HttpClient.Version.HTTP_2 ? "2 " : "1.1 ") + answer.body());
            System.exit(answer.statusCode() == 200 ? 0 : 1);
        }
        HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection();
        connection.getInputStream().transferTo(System.out);
    }
}
