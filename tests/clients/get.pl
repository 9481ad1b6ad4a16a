# One request with what is named: get.pl lwp|tiny URL
use strict;
use warnings;

my ($how, $url) = @ARGV;
if ($how eq "lwp") {
    require LWP::UserAgent;
    my $answer = LWP::UserAgent->new->get($url);
    print $answer->decoded_content, "\n";
    exit($answer->is_success ? 0 : 1);
}
require HTTP::Tiny;
my $answer = HTTP::Tiny->new(verify_SSL => 1)->get($url);
print $answer->{content}, "\n";
exit($answer->{success} ? 0 : 1);
