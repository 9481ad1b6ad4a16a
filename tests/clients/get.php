<?php // One request with what is named: get.php stream|curl URL
if ($argv[1] === "stream") {
    $body = file_get_contents($argv[2]);
} else {
    $curl = curl_init($argv[2]);
    curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
    curl_setopt($curl, CURLOPT_FAILONERROR, true);
    $body = curl_exec($curl);
    if ($body === false) {
        fwrite(STDERR, curl_error($curl) . "\n");
    }
}
echo $body;
exit($body === false ? 1 : 0);
