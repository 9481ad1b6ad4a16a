# One request with LWP: get.pl URL
use strict;
use warnings;
use LWP::UserAgent;

my $answer = LWP::UserAgent->new->get($ARGV[0]);
print $answer->decoded_content, "\n";
exit($answer->is_success ? 0 : 1);
