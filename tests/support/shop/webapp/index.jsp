<%@ page contentType="text/html; charset=UTF-8" import="java.sql.*" %>
<%-- A shop as it was written years ago: it knows a database host, a user and a password, and nothing of a mesh. --%>
<%
  String host = "6".equals(request.getParameter("family")) ? "shop-db6" : "shop-db";
  String url = "jdbc:postgresql://" + host + "/shop";
%>
<!DOCTYPE html>
<html>
<head><title>The chandler's shop</title></head>
<body>
<h1>The chandler's shop</h1>
<table>
<%
  Class.forName("org.postgresql.Driver");
  try (Connection db = DriverManager.getConnection(url, "shop", "shop");
       Statement statement = db.createStatement();
       ResultSet row = statement.executeQuery("SELECT name, price FROM product ORDER BY id")) {
    while (row.next()) {
%>
<tr><td><%= row.getString("name") %></td><td><%= row.getBigDecimal("price") %></td></tr>
<%
    }
  }
%>
</table>
<p>Served to <%= request.getRemoteAddr() %>.</p>
</body>
</html>
