# A parent's file from a repository, by Maven without any plugin: maven.sh HOST. The name central is that of the
# repository which it asks besides.
set -eu
export MAVEN_OPTS="-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
cat > pom.xml <<XML
<project><modelVersion>4.0.0</modelVersion><artifactId>user</artifactId><packaging>pom</packaging>
  <parent><groupId>test</groupId><artifactId>octo</artifactId><version>1</version><relativePath/></parent>
  <repositories><repository><id>central</id><url>https://$1/maven</url></repository></repositories>
</project>
XML
mvn -B -Dmaven.repo.local="$PWD/m2" validate
cat m2/test/octo/1/octo-1.pom
