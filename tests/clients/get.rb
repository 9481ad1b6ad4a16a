# One request with Net::HTTP: get.rb URL
require "net/http"

answer = Net::HTTP.get_response(URI(ARGV[0]))
puts answer.body
exit answer.is_a?(Net::HTTPOK)
